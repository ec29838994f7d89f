"""What happens around each request: log, ordered faults, rate limits (J7)."""

from __future__ import annotations

import re
import time
from collections import defaultdict, deque
from datetime import timedelta
from typing import TYPE_CHECKING

from aiohttp import web

from tests.simulators.gitlab import faults
from tests.simulators.gitlab.request_log import LoggedRequest, RequestLog

from .api import USERNAME, WORLD

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOG: web.AppKey[RequestLog] = web.AppKey("log", RequestLog)
FAULTS: web.AppKey[faults.Faults] = web.AppKey("faults", faults.Faults)
SPENT: web.AppKey[defaultdict[str, deque[float]]] = web.AppKey("spent")
_KEY = re.compile(r"(?<=/issue/)[^/]+")


def concerns_clients(request: web.Request) -> bool:
    return request.path.startswith("/rest/")


@web.middleware
async def log_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    if not concerns_clients(request):
        return await handler(request)
    started, now = time.monotonic(), request.app[WORLD].now()
    entry = LoggedRequest(request.method, request.rel_url.raw_path, dict(request.query), now)
    request.app[LOG].entries.append(entry)
    try:
        response = await handler(request)
        entry.status = response.status
    except web.HTTPException as error:
        entry.status = error.status
        raise
    finally:
        entry.user = request.get(USERNAME, "")
        entry.seconds = time.monotonic() - started
    return response


@web.middleware
async def unknown_routes(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer with a page, as Jira does for an address that it does not have."""
    try:
        return await handler(request)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
        if not concerns_clients(request):
            raise
        page = "<!DOCTYPE html><html><title>Oops, you&#39;ve found a dead link.</title></html>"
        return web.Response(status=error.status, text=page, content_type="text/html")


@web.middleware
async def order_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    if not concerns_clients(request):
        return await handler(request)
    fault = request.app[FAULTS].take(request.method, request.rel_url.raw_path)
    return await handler(request) if fault is None else await faults.apply(fault, request, handler)


@web.middleware
async def limit_rates(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse bursts per endpoint and method, and writes per issue."""
    if not concerns_clients(request):
        return await handler(request)
    settings, path = request.app[WORLD].settings, request.path
    burst = f"{request.method} {_KEY.sub('{key}', path)}"
    if settings.burst_limit is not None and _spent(request, burst) > settings.burst_limit:
        return _too_many(request, burst, "jira-burst-based", settings.burst_limit)
    key, limit = _KEY.search(path), settings.issue_write_limit
    if limit is not None and key and request.method != "GET":
        writes = f"writes {key[0]}"
        if _spent(request, writes) > limit:
            return _too_many(request, writes, "jira-per-issue-on-write", limit)
    return await handler(request)


def _spent(request: web.Request, bucket: str) -> int:
    world = request.app[WORLD]
    now, times = world.now().timestamp(), request.app[SPENT][bucket]
    while times and times[0] <= now - world.settings.window:
        times.popleft()
    times.append(now)
    return len(times)


def _too_many(request: web.Request, bucket: str, reason: str, limit: int) -> web.Response:
    world = request.app[WORLD]
    request.app[SPENT][bucket].pop()  # a refused request costs nothing
    first = request.app[SPENT][bucket][0] if request.app[SPENT][bucket] else 0.0
    wait = max(1, round(first + world.settings.window - world.now().timestamp()))
    reset = world.now() + timedelta(seconds=wait)
    headers = {
        "Retry-After": str(wait),
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": f"{reset:%Y-%m-%dT%H:%MZ}",
        "RateLimit-Reason": reason,
    }
    body = {"errorMessages": ["Rate limit exceeded."], "errors": {}}
    return web.json_response(body, status=429, headers=headers)


MIDDLEWARES = (log_requests, unknown_routes, order_faults, limit_rates)
