"""Members of a project: direct ones, and all with those of its groups at the highest level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.simulators.gitlab import views
from tests.simulators.gitlab.api import Call, endpoint, reply
from tests.simulators.gitlab.errors import not_found
from tests.simulators.gitlab.pagination import page_of

from .projects import PROJECT

if TYPE_CHECKING:
    from tests.simulators.gitlab.state import Member, Project

MEMBERS = PROJECT + "/members"


def routes() -> list[web.RouteDef]:
    return [
        web.get(MEMBERS, endpoint(list_direct)),
        web.get(MEMBERS + "/all", endpoint(list_all)),
        web.get(MEMBERS + "/all/{user_id}", endpoint(show_any)),
        web.get(MEMBERS + "/{user_id}", endpoint(show_direct)),
    ]


def _shown(call: Call, project: Project, user_id: int, *, direct: bool) -> dict[str, Any]:
    """Show a membership; blocked people and expired ones not yet taken away are listed too."""
    member = project.members[user_id]
    expires = member.expires_at.isoformat() if member.expires_at else None
    return {
        **views.user(call.world, call.world.users[user_id]),
        "access_level": member.access_level if direct else member.highest,
        "created_at": views.iso(project.created_at),
        "expires_at": expires,
        "membership_state": "active",
    }


def _listed(member: Member, *, direct: bool) -> bool:
    return not (direct and member.inherited)


async def show_any(call: Call) -> web.Response:
    return _show(call, direct=False)


async def show_direct(call: Call) -> web.Response:
    return _show(call, direct=True)


def _show(call: Call, *, direct: bool) -> web.Response:
    project = call.project()
    user_id = call.path_number("user_id")
    member = project.members.get(user_id)
    if member is None or not _listed(member, direct=direct):
        raise not_found()
    return reply(_shown(call, project, user_id, direct=direct))


async def list_all(call: Call) -> web.Response:
    return _page(call, direct=False)


async def list_direct(call: Call) -> web.Response:
    return _page(call, direct=True)


def _page(call: Call, *, direct: bool) -> web.Response:
    project = call.project()
    found = [uid for uid, member in project.members.items() if _listed(member, direct=direct)]
    return page_of(
        call, found, lambda page: [_shown(call, project, uid, direct=direct) for uid in page]
    )
