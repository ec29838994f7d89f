"""What every REST endpoint gets and gives: who asks, the issue, answers in Jira's words.

`endpoint` turns a function over a Call into an aiohttp handler. Used by `rest` and `search`.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .errors import ApiError, bad_request, no_issue, unauthenticated
from .state import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .state import Issue, User

WORLD: web.AppKey[World] = web.AppKey("world", World)
USERNAME: web.RequestKey[str] = web.RequestKey("username", str)
LOGIN_FAILED = {"X-Seraph-LoginReason": "AUTHENTICATED_FAILED"}


@dataclass
class Call:
    """One API request; `user` None is somebody anonymous, whom Cloud lets in to an empty house."""

    request: web.Request
    world: World
    user: User | None
    body: dict[str, Any]

    @property
    def someone(self) -> User:
        if self.user is None:
            raise unauthenticated()
        return self.user

    def issue(self) -> Issue:
        wanted = self.request.match_info["key"]
        issues = self.world.issues
        found = issues.get(wanted) or next((i for i in issues.values() if i.id == wanted), None)
        if found is None or found.project.hidden or self.user is None:
            raise no_issue()
        return found

    def asked(self, name: str) -> Any:
        """A parameter of the query or the body."""
        return self.request.query.get(name, self.body.get(name))

    def names(self, name: str) -> list[str]:
        value = self.asked(name)
        given = value if isinstance(value, list) else str(value or "").split(",")
        return [str(each).strip() for each in given if str(each).strip()]

    def number(self, name: str, default: int) -> int:
        value = self.asked(name)
        if value is None:
            return default
        if not str(value).isdecimal():
            raise bad_request(f"{name} must be a number")
        return int(str(value))


def reply(payload: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(payload, status=status, headers=headers)


def endpoint(
    function: Callable[[Call], Awaitable[web.StreamResponse]],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    @functools.wraps(function)
    async def handle(request: web.Request) -> web.StreamResponse:
        world = request.app[WORLD]
        user, failed = _identify(world, request)
        headers = LOGIN_FAILED if failed else {}
        request[USERNAME] = user.name if user else ""
        try:
            if user is None and world.settings.data_center:
                raise unauthenticated()
            answer = await function(Call(request, world, user, await _body(request)))
        except ApiError as error:
            return reply(error.body, error.status, error.headers | headers)
        answer.headers.update(headers)
        return answer

    return handle


def _identify(world: World, request: web.Request) -> tuple[User | None, bool]:
    """Who asks, and whether a login was given that is wrong."""
    given = request.headers.get("Authorization", "")
    kind, _, value = given.partition(" ")
    if world.settings.data_center:
        bearer = value.strip() if kind.lower() == "bearer" else None
        found = next((user for user in world.users if user.bearer_token == bearer), None)
        return found, found is None and bool(given)
    try:
        email, _, token = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        email = token = ""
    for user in world.users:
        if kind.lower() == "basic" and (user.email, user.api_token) == (email, token):
            return user, False
    return None, bool(given)


async def _body(request: web.Request) -> dict[str, Any]:
    if not request.body_exists:
        return {}
    if request.content_type != "application/json":
        raise ApiError(415, {"message": "Unsupported Media Type"})
    try:
        read = json.loads(await request.read())
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise bad_request("Invalid request payload. Refer to the REST API documentation.")
    return read
