"""Commands about people, rights, forks and branches, besides those of `control`; loopback only.

A person is named by username, a project by id or path (a path with its slashes encoded).
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from aiohttp import web

from . import note_views, views
from .control import MERGE_REQUEST, SIM, command, merge_request_of, project_of, shown, user_of

if TYPE_CHECKING:
    from .simulator import SimulatedGitLab

PROJECT = SIM + "/projects/{project}"


def routes() -> list[web.RouteDef]:
    return [
        web.post(SIM + "/users", command(add_user)),
        web.post(SIM + "/users/{username}/block", command(block)),
        web.post(SIM + "/users/{username}/tokens", command(add_token)),
        web.put(PROJECT + "/members/{username}", command(set_member)),
        web.delete(PROJECT + "/members/{username}", command(remove_member)),
        web.put(PROJECT + "/protections/{branch}", command(protect)),
        web.delete(PROJECT + "/protections/{branch}", command(unprotect)),
        web.delete(PROJECT + "/branches/{branch}", command(delete_branch)),
        web.post(PROJECT + "/forks", command(fork)),
        web.get(PROJECT + "/pipelines", command(pipelines)),
        web.get(PROJECT + "/merge_requests", command(merge_requests)),
        web.get(MERGE_REQUEST + "/notes", command(notes)),
        web.get(SIM + "/executed_commands", command(executed_commands)),
    ]


async def add_user(gitlab: SimulatedGitLab, _: web.Request, body: dict[str, Any]) -> Any:
    name, bot = body.get("name", ""), body.get("bot", False)
    user = gitlab.world.add_user(body["username"], name=name, bot=bot)
    return {"id": user.id, "username": user.username}


async def block(gitlab: SimulatedGitLab, request: web.Request, _: dict[str, Any]) -> Any:
    gitlab.block(user_of(gitlab, request.match_info["username"]))
    return {}


async def add_token(gitlab: SimulatedGitLab, request: web.Request, body: dict[str, Any]) -> Any:
    user = user_of(gitlab, request.match_info["username"])
    return {"token": gitlab.add_token(user, body.get("scopes", ["api"])).value}


async def set_member(gitlab: SimulatedGitLab, request: web.Request, body: dict[str, Any]) -> Any:
    """Take access_level, inherited (false), and expires_at as a date."""
    expires = body.get("expires_at")
    gitlab.add_member(
        project_of(gitlab, request),
        user_of(gitlab, request.match_info["username"]),
        int(body["access_level"]),
        inherited=body.get("inherited", False),
        expires_at=date.fromisoformat(expires) if expires else None,
    )
    return {}


async def remove_member(gitlab: SimulatedGitLab, request: web.Request, _: dict[str, Any]) -> Any:
    user = user_of(gitlab, request.match_info["username"])
    gitlab.remove_member(project_of(gitlab, request), user)
    return {}


async def protect(gitlab: SimulatedGitLab, request: web.Request, body: dict[str, Any]) -> Any:
    """Take push, merge and force; the branch may be a pattern."""
    gitlab.protect_branch(project_of(gitlab, request), request.match_info["branch"], **body)
    return {}


async def unprotect(gitlab: SimulatedGitLab, request: web.Request, _: dict[str, Any]) -> Any:
    gitlab.unprotect_branch(project_of(gitlab, request), request.match_info["branch"])
    return {}


async def delete_branch(gitlab: SimulatedGitLab, request: web.Request, _: dict[str, Any]) -> Any:
    await gitlab.delete_branch(project_of(gitlab, request), branch=request.match_info["branch"])
    return {}


async def fork(gitlab: SimulatedGitLab, request: web.Request, body: dict[str, Any]) -> Any:
    """Take path, and perhaps owner, visibility (private), bot_access (0)."""
    options = dict(body)
    owner = options.pop("owner", None)
    project = gitlab.fork_project(
        project_of(gitlab, request), owner=user_of(gitlab, owner) if owner else None, **options
    )
    return {"id": project.id, "http_url": project.http_url}


async def pipelines(gitlab: SimulatedGitLab, request: web.Request, _: dict[str, Any]) -> Any:
    found = gitlab.pipelines(project_of(gitlab, request), sha=request.query.get("sha", ""))
    return [{"id": one.id, "ref": one.ref, "sha": one.sha, "source": one.source} for one in found]


async def merge_requests(gitlab: SimulatedGitLab, request: web.Request, _: dict[str, Any]) -> Any:
    found = project_of(gitlab, request).merge_requests.values()
    return [
        {**shown(one), **views.merge_request(gitlab.world, one), "head_sha": one.head_sha}
        for one in found
    ]


async def notes(gitlab: SimulatedGitLab, request: web.Request, _: dict[str, Any]) -> Any:
    """List the notes with their discussion and emoji, system notes left out."""
    record = merge_request_of(gitlab, request)
    return [
        {
            **note_views.note(gitlab.world, record, note),
            "discussion_id": note.discussion_id,
            "awards": [award.name for award in note.awards],
        }
        for note in gitlab.notes(record)
    ]


async def executed_commands(gitlab: SimulatedGitLab, _: web.Request, __: dict[str, Any]) -> Any:
    return [vars(one) for one in gitlab.executed_commands]
