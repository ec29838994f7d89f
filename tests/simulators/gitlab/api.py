"""What every REST endpoint gets and gives: one `Call`, answers, errors with GitLab's words.

`endpoint` turns a function over a Call into an aiohttp handler: it finds the user, reads the
parameters, and turns ApiError into the JSON body that GitLab sends.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from . import auth, params
from .errors import ApiError, forbidden, invalid, not_found
from .state import DEVELOPER, GUEST, REPORTER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .state import MergeRequest, Project, Token, User
    from .world import World

WORLD: web.AppKey[World] = web.AppKey("world")
USERNAME: web.RequestKey[str] = web.RequestKey("username", str)


def reply(payload: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(payload, status=status, headers=headers)


def no_content() -> web.Response:
    return web.Response(status=204)


@dataclass
class Call:
    """One authenticated API request."""

    request: web.Request
    world: World
    user: User
    token: Token
    params: dict[str, Any]

    def path_number(self, name: str) -> int:
        value = self.request.match_info[name]
        if not value.isdecimal():
            raise invalid(f"{name} is invalid")
        return int(value)

    def project(self) -> Project:
        wanted = self.request.match_info["project"]
        if wanted.isdecimal():
            found = self.world.projects.get(int(wanted))
        else:
            found = self.world.project_by_path(wanted)
        if found is None or not found.visible_to(self.user):
            raise not_found("Project")
        return found

    def code(self) -> Project:
        """Return the project when its code may be read."""
        project = self.project()
        if project.visibility != "public" and project.access_level(self.user) < REPORTER:
            raise forbidden()
        return project

    def merge_request(self) -> MergeRequest:
        project = self.project()
        found = project.merge_requests.get(self.path_number("iid"))
        public = project.visibility == "public"
        if found is None or not (public or project.access_level(self.user) >= REPORTER):
            raise not_found()
        return found

    def may_comment(self, merge_request: MergeRequest) -> bool:
        project = merge_request.project
        level = project.access_level(self.user)
        if merge_request.discussion_locked and level == 0:
            return False
        return not project.archived and (level >= GUEST or project.visibility == "public")

    def may_edit(self, merge_request: MergeRequest) -> bool:
        project = merge_request.project
        level = project.access_level(self.user)
        own = merge_request.author is self.user and project.visible_to(self.user)
        return not project.archived and (own or level >= DEVELOPER)

    # --- parameters -----------------------------------------------------------

    def required(self, name: str) -> str:
        if name not in self.params:
            raise invalid(f"{name} is missing")
        value = self.params[name]
        if not isinstance(value, (str, int)):
            raise invalid(f"{name} is invalid")
        return str(value)

    def text(self, name: str, default: str = "") -> str:
        value = self.params.get(name, default)
        return default if value is None else str(value)

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self.params.get(name)
        return default if value is None else str(value).lower() in {"true", "1", "yes"}

    def number(self, name: str, default: int) -> int:
        value = self.params.get(name)
        if value in {None, ""}:
            return default
        if not str(value).lstrip("-").isdecimal():
            raise invalid(f"{name} is invalid")
        return int(str(value))


def endpoint(
    function: Callable[[Call], Awaitable[web.StreamResponse]],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    @functools.wraps(function)
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await function(await _call(request))
        except ApiError as error:
            return reply(error.body, error.status, error.headers)

    return handle


async def _call(request: web.Request) -> Call:
    world = request.app[WORLD]
    token = auth.identify(world, request)
    request[USERNAME] = token.user.username
    auth.check_scope(world, request, token)
    try:
        values = await params.read(request)
    except ValueError:
        raise ApiError(400, {"error": "The provided body could not be parsed"}) from None
    return Call(request, world, token.user, token, values)
