"""Protected branches: who may push and merge; readable from Developer on (GitLab 16 and later)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.simulators.gitlab.api import Call, endpoint, reply
from tests.simulators.gitlab.errors import forbidden, not_found
from tests.simulators.gitlab.pagination import page_of
from tests.simulators.gitlab.state import DEVELOPER

from .projects import PROJECT

if TYPE_CHECKING:
    from tests.simulators.gitlab.state import Project, Protection

BRANCHES = PROJECT + "/protected_branches"
_WORDS = {0: "No one", 30: "Developers + Maintainers", 40: "Maintainers"}


def routes() -> list[web.RouteDef]:
    return [
        web.get(BRANCHES, endpoint(list_protected)),
        web.get(BRANCHES + "/{branch}", endpoint(show_protected)),
    ]


def _project(call: Call) -> Project:
    project = call.project()
    if project.access_level(call.user) < DEVELOPER:
        raise forbidden()
    return project


def _levels(level: int) -> list[dict[str, Any]]:
    words = _WORDS.get(level, str(level))
    return [
        {"id": 1, "access_level": level, "access_level_description": words}
        | dict.fromkeys(("user_id", "group_id"))
    ]


def _shown(name: str, protection: Protection) -> dict[str, Any]:
    return {
        "id": 1,
        "name": name,
        "push_access_levels": _levels(protection.push),
        "merge_access_levels": _levels(protection.merge),
        "allow_force_push": protection.force,
        "code_owner_approval_required": False,
    }


async def list_protected(call: Call) -> web.Response:
    found = list(_project(call).protections.items())
    return page_of(call, found, lambda page: [_shown(name, one) for name, one in page])


async def show_protected(call: Call) -> web.Response:
    name = call.request.match_info["branch"]
    found = _project(call).protections.get(name)
    if found is None:
        raise not_found()
    return reply(_shown(name, found))
