"""The searches: Cloud's /search/jql with page tokens, its removed /search, Data Center's /search.

Behaviours J1 to J4. Registered by `rest`.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from . import jql, views
from .api import Call, reply
from .errors import bad_request, gone

if TYPE_CHECKING:
    from aiohttp import web

    from .state import Issue

LARGEST_CLOUD_PAGE = 5000
LARGEST_PAGE = 1000
DEFAULT_PAGE = 50


async def removed(_: Call) -> web.Response:
    raise gone()


async def by_token(call: Call) -> web.Response:
    """Search as Cloud does: ids only unless fields are named, no total, a token for more."""
    text = str(call.asked("jql") or "")
    query = jql.parse(text)
    if call.user is None:
        return reply({"issues": [], "isLast": True})
    jql.check(query, call.world)
    found = _matching(call, query)
    settings = call.world.settings
    size = min(call.number("maxResults", DEFAULT_PAGE), LARGEST_CLOUD_PAGE, settings.page_cap)
    start = _start(call, text)
    if settings.repeat_page:
        start = 0
    page = {"issues": [_shown(call, each) for each in found[start : start + size]]}
    if start + size < len(found):
        token = _token(start + size, text, call.world.now().timestamp())
        if settings.repeat_page:
            token = "the-same-for-ever"
        return reply(page | {"nextPageToken": token, "isLast": False})
    return reply(page | {"isLast": True})


async def by_offset(call: Call) -> web.Response:
    """Search as Data Center does: startAt, maxResults, total, all navigable fields."""
    query = jql.parse(str(call.asked("jql") or ""))
    if query.clauses:
        jql.check(query, call.world)
    found = _matching(call, query)
    start = call.number("startAt", 0)
    size = min(call.number("maxResults", DEFAULT_PAGE), LARGEST_PAGE)
    fields = call.names("fields") or ["*navigable"]
    shown = [views.issue(call.world, each, fields) for each in found[start : start + size]]
    counted = {"startAt": start, "maxResults": size, "total": len(found)}
    return reply(counted | {"issues": shown})


def _matching(call: Call, query: jql.Query) -> list[Issue]:
    """Search the index, which lags behind except for issues that are to be reconciled."""
    world = call.world
    found = jql.matching(query, world, world.seen_by_search())
    wanted = set(call.names("reconcileIssues")[:50])
    if wanted:
        fresh = jql.matching(query, world, world.now())
        found = [each for each in found if each.id not in wanted]
        found += [each for each in fresh if each.id in wanted]
    return found


def _shown(call: Call, issue: Issue) -> dict[str, Any]:
    fields = call.names("fields")
    if not set(fields) - {"id"}:
        return {"id": issue.id}
    return views.issue(call.world, issue, fields)


def _token(start: int, text: str, issued: float) -> str:
    content = json.dumps({"start": start, "jql": text, "issued": issued})
    return base64.urlsafe_b64encode(content.encode()).decode()


def _start(call: Call, text: str) -> int:
    token = call.asked("nextPageToken")
    if not token or call.world.settings.repeat_page:
        return 0
    try:
        read = json.loads(base64.urlsafe_b64decode(str(token)))
        start, issued, same = int(read["start"]), float(read["issued"]), read["jql"] == text
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise bad_request("The provided next page token is invalid or expired.") from None
    age = call.world.now().timestamp() - issued
    if not same or age > call.world.settings.token_life:
        raise bad_request("The provided next page token is invalid or expired.")
    return start
