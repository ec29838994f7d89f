"""The repository endpoints: branches, commits, comparison, raw files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aiohttp import web

from tests.simulators.gitlab import pushes, rights, views
from tests.simulators.gitlab.api import Call, endpoint, no_content, reply
from tests.simulators.gitlab.errors import forbidden, message, not_found
from tests.simulators.gitlab.pagination import page_of
from tests.simulators.gitlab.repository import ZERO_SHA
from tests.simulators.gitlab.state import DEVELOPER

from .projects import PROJECT

if TYPE_CHECKING:
    from tests.simulators.gitlab.state import Project

REPOSITORY = PROJECT + "/repository"


def routes() -> list[web.RouteDef]:
    return [
        web.get(REPOSITORY + "/branches", endpoint(list_branches)),
        web.get(REPOSITORY + "/branches/{branch}", endpoint(show_branch)),
        web.delete(REPOSITORY + "/branches/{branch}", endpoint(delete_branch)),
        web.get(REPOSITORY + "/commits/{sha}", endpoint(show_commit)),
        web.get(REPOSITORY + "/compare", endpoint(compare)),
        web.get(REPOSITORY + "/files/{path}/raw", endpoint(raw_file)),
    ]


def _branch(call: Call, project: Project, name: str, sha: str) -> dict[str, object]:
    rule = rights.protection(project, name)
    return {
        "name": name,
        "commit": views.commit(project, project.repository.one_commit(sha)),
        "merged": False,
        "protected": rule is not None,
        "developers_can_push": rule is not None and 0 < rule.push <= DEVELOPER,
        "developers_can_merge": rule is not None and 0 < rule.merge <= DEVELOPER,
        "default": name == project.default_branch,
        "can_push": rights.may_push(call.world, project, call.user, name),
        "web_url": f"{project.web_url}/-/tree/{name}",
    }


async def list_branches(call: Call) -> web.Response:
    project = call.code()
    refs = list(project.repository.refs().items())
    return page_of(
        call,
        refs,
        lambda page: [_branch(call, project, r.removeprefix("refs/heads/"), s) for r, s in page],
    )


def _tip(call: Call, project: Project) -> tuple[str, str]:
    name = call.request.match_info["branch"]
    sha = project.repository.branch(name)
    if sha is None:
        raise not_found("Branch")
    return name, sha


async def show_branch(call: Call) -> web.Response:
    project = call.code()
    return reply(_branch(call, project, *_tip(call, project)))


async def delete_branch(call: Call) -> web.Response:
    project = call.code()
    name, sha = _tip(call, project)
    if project.access_level(call.user) < DEVELOPER or project.archived:
        raise forbidden()
    if name == project.default_branch:
        raise message(405, "Cannot remove HEAD branch")
    if rights.protection(project, name) is not None:
        raise message(405, "Protected branch cannot be removed")
    project.repository.set_ref(f"refs/heads/{name}", None)
    pushes.landed(call.world, project, call.user, {f"refs/heads/{name}": (sha, ZERO_SHA)})
    return no_content()


async def show_commit(call: Call) -> web.Response:
    project = call.code()
    sha = project.repository.commit_sha(call.request.match_info["sha"])
    if sha is None:
        raise not_found("Commit")
    return reply(views.commit(project, project.repository.one_commit(sha)))


async def compare(call: Call) -> web.Response:
    project = call.code()
    repository = project.repository
    start = repository.commit_sha(call.required("from"))
    end = repository.commit_sha(call.required("to"))
    if start is None or end is None:
        raise not_found("Ref")
    base = start if call.flag("straight") else repository.merge_base(start, end) or start
    files = repository.diff(base, end)
    commits = repository.commits(f"{start}..{end}")
    return reply(
        {
            "commit": views.commit(project, commits[0]) if commits else None,
            "commits": [views.commit(project, one) for one in reversed(commits)],
            "diffs": [views.file_diff(call.world.settings, file) for file in files],
            "compare_timeout": False,
            "compare_same_ref": start == end,
            "web_url": f"{project.web_url}/-/compare/{start}...{end}",
        }
    )


async def raw_file(call: Call) -> web.Response:
    project = call.code()
    path = call.request.match_info["path"]
    revision = project.repository.commit_sha(call.text("ref", project.default_branch))
    content = project.repository.file(revision, path) if revision else None
    if content is None:
        raise not_found("File")
    names = {"File-Path": json.dumps(path), "Size": str(len(content)), "Ref": str(revision)}
    headers = {f"X-Gitlab-{name}": value for name, value in names.items()}
    return web.Response(body=content, content_type="text/plain", headers=headers)
