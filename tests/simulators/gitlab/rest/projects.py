"""Users, tokens, projects, members, groups, and the repository endpoints."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aiohttp import web

from tests.simulators.gitlab import views
from tests.simulators.gitlab.api import Call, endpoint, reply
from tests.simulators.gitlab.errors import not_found
from tests.simulators.gitlab.pagination import page_of
from tests.simulators.gitlab.state import DEVELOPER

if TYPE_CHECKING:
    from tests.simulators.gitlab.state import Project, User

API = "/api/v4"
PROJECT = API + "/projects/{project}"


def routes() -> list[web.RouteDef]:
    return [
        web.get(API + "/version", endpoint(version)),
        web.get(API + "/metadata", endpoint(version)),
        web.get(API + "/user", endpoint(current_user)),
        web.get(API + "/users", endpoint(list_users)),
        web.get(API + "/users/{user_id}", endpoint(show_user)),
        web.get(API + "/personal_access_tokens/self", endpoint(own_token)),
        web.get(API + "/projects", endpoint(list_projects)),
        web.get(API + "/groups/{group}/projects", endpoint(group_projects)),
        web.get(PROJECT, endpoint(show_project)),
        web.get(PROJECT + "/members/all/{user_id}", endpoint(member_all)),
        web.get(PROJECT + "/members/{user_id}", endpoint(member_direct)),
        web.get(PROJECT + "/repository/branches", endpoint(list_branches)),
        web.get(PROJECT + "/repository/branches/{branch}", endpoint(show_branch)),
        web.get(PROJECT + "/repository/commits/{sha}", endpoint(show_commit)),
        web.get(PROJECT + "/repository/compare", endpoint(compare)),
        web.get(PROJECT + "/repository/files/{path}/raw", endpoint(raw_file)),
    ]


async def version(call: Call) -> web.Response:
    return reply({"version": call.world.settings.version, "revision": "simulated"})


async def current_user(call: Call) -> web.Response:
    return reply({**views.full_user(call.world, call.user), "email": f"{call.user.username}@x.y"})


async def list_users(call: Call) -> web.Response:
    wanted = call.text("username").lower()
    people = [u for u in call.world.users.values() if not wanted or u.username.lower() == wanted]
    return page_of(call, people, lambda page: [views.user(call.world, u) for u in page])


async def show_user(call: Call) -> web.Response:
    found = call.world.users.get(call.path_number("user_id"))
    if found is None:
        raise not_found("User")
    return reply(views.full_user(call.world, found))


async def own_token(call: Call) -> web.Response:
    token = call.token
    return reply(
        {
            "id": 1,
            "name": token.name,
            "revoked": False,
            "created_at": views.iso(token.created_at),
            "scopes": sorted(token.scopes),
            "user_id": token.user.id,
            "last_used_at": None,
            "active": True,
            "expires_at": token.expires_at,
        }
    )


async def list_projects(call: Call) -> web.Response:
    return _project_page(call, list(call.world.projects.values()))


async def group_projects(call: Call) -> web.Response:
    prefix = call.request.match_info["group"].lower() + "/"
    every = call.world.projects.values()
    found = [p for p in every if p.path_with_namespace.lower().startswith(prefix)]
    if not any(project.visible_to(call.user) for project in found):
        raise not_found("Group")
    return _project_page(call, found)


def _project_page(call: Call, projects: list[Project]) -> web.Response:
    visible = [project for project in projects if project.visible_to(call.user)]
    return page_of(call, visible, lambda page: [views.project(p) for p in page])


async def show_project(call: Call) -> web.Response:
    project = call.project()
    level = project.access_level(call.user)
    access = {"access_level": level, "notification_level": 3} if level else None
    permissions = {"project_access": access, "group_access": None}
    return reply({**views.project(project), "permissions": permissions})


async def member_all(call: Call) -> web.Response:
    return _member(call, direct=False)


async def member_direct(call: Call) -> web.Response:
    return _member(call, direct=True)


def _member(call: Call, *, direct: bool) -> web.Response:
    project = call.project()
    user_id = call.path_number("user_id")
    member = project.members.get(user_id)
    if member is None or (direct and member.inherited):
        raise not_found()
    person = views.user(call.world, call.world.users[user_id])
    return reply({**person, "access_level": member.access_level, "expires_at": None})


# --- repository -------------------------------------------------------------------


def _branch(project: Project, user: User, name: str, sha: str) -> dict[str, object]:
    protection = project.protections.get(name)
    push = protection.push if protection else DEVELOPER
    merge = protection.merge if protection else DEVELOPER
    commit = views.commit(project, project.repository.one_commit(sha))
    return {
        "name": name,
        "commit": commit,
        "merged": False,
        "protected": protection is not None,
        "developers_can_push": protection is not None and 0 < push <= DEVELOPER,
        "developers_can_merge": protection is not None and 0 < merge <= DEVELOPER,
        "default": name == project.default_branch,
        "can_push": 0 < push <= project.access_level(user),
        "web_url": f"{project.web_url}/-/tree/{name}",
    }


async def list_branches(call: Call) -> web.Response:
    project = call.project()
    refs = list(project.repository.refs().items())
    return page_of(
        call,
        refs,
        lambda page: [
            _branch(project, call.user, r.removeprefix("refs/heads/"), s) for r, s in page
        ],
    )


async def show_branch(call: Call) -> web.Response:
    project = call.project()
    name = call.request.match_info["branch"]
    sha = project.repository.branch(name)
    if sha is None:
        raise not_found("Branch")
    return reply(_branch(project, call.user, name, sha))


async def show_commit(call: Call) -> web.Response:
    project = call.project()
    sha = project.repository.commit_sha(call.request.match_info["sha"])
    if sha is None:
        raise not_found("Commit")
    return reply(views.commit(project, project.repository.one_commit(sha)))


async def compare(call: Call) -> web.Response:
    project = call.project()
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
    project = call.project()
    path = call.request.match_info["path"]
    revision = project.repository.commit_sha(call.text("ref", project.default_branch))
    content = project.repository.file(revision, path) if revision else None
    if content is None:
        raise not_found("File")
    names = {"File-Path": json.dumps(path), "Size": str(len(content)), "Ref": str(revision)}
    headers = {f"X-Gitlab-{name}": value for name, value in names.items()}
    return web.Response(body=content, content_type="text/plain", headers=headers)
