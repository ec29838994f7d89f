"""Who asks, and may this token do that: PRIVATE-TOKEN, Bearer, JOB-TOKEN, Basic for git.

Bodies as recorded or documented (reference section 2.8). Called by `api` and `smart_http`.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from .errors import ApiError, forbidden, message

if TYPE_CHECKING:
    from aiohttp import web

    from .state import Token
    from .world import World

_READS = {"GET", "HEAD"}


def identify(world: World, request: web.Request) -> Token:
    """Return the token of the request; raises ApiError 401."""
    value, kind = _given(request)
    token = world.tokens.get(value)
    if token is None or (token.kind == "job") != (kind == "job") or token.user.state != "active":
        raise message(401, "401 Unauthorized")
    if token.expired:
        raise ApiError(
            401,
            {
                "error": "invalid_token",
                "error_description": "Token is expired. You can either do re-authorization "
                "or token refresh.",
            },
        )
    return token


def _given(request: web.Request) -> tuple[str, str]:
    headers = request.headers
    if "PRIVATE-TOKEN" in headers:
        return headers["PRIVATE-TOKEN"], "personal"
    if "JOB-TOKEN" in headers:
        return headers["JOB-TOKEN"], "job"
    kind, _, value = headers.get("Authorization", "").partition(" ")
    return (value.strip(), "personal") if kind.lower() == "bearer" else ("", "personal")


def check_scope(world: World, request: web.Request, token: Token) -> None:
    """Raise ApiError 403 when the scopes do not reach; writes need `api`."""
    reads = request.method in _READS
    if token.kind == "job":
        if not reads:
            raise forbidden()
        return
    enough = {"api", "ai_workflows"} | ({"read_api"} if reads else set())
    if reads and request.path.endswith(("/user", "/personal_access_tokens/self")):
        enough |= {"read_user", "read_repository", "write_repository"}
    if not enough & token.scopes:
        raise ApiError(
            403,
            {
                "error": "insufficient_scope",
                "error_description": "The request requires higher privileges than provided by "
                "the access token.",
                "scope": "api read_api" if reads else "api",
            },
        )
    if world.settings.read_only and not reads:
        raise forbidden("You cannot perform write operations on a read-only instance")


def git_token(world: World, request: web.Request) -> Token | None:
    """Return the token given as the password of Basic authentication, with any username."""
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        _, _, password = base64.b64decode(value).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    token = world.tokens.get(password)
    return None if token is None or token.expired or token.user.state != "active" else token


def may_fetch(token: Token) -> bool:
    return token.kind == "job" or bool(
        {"api", "read_repository", "write_repository"} & token.scopes
    )


def may_push(token: Token) -> bool:
    return bool({"api", "write_repository"} & token.scopes)
