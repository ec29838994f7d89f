"""What happens around each request: log, ordered faults, throttling, whose event it continues."""

from __future__ import annotations

import time
from collections import deque
from email.utils import format_datetime
from typing import TYPE_CHECKING

from aiohttp import web

from . import faults
from .api import USERNAME, WORLD
from .request_log import LoggedRequest, RequestLog
from .webhooks import causing_event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOG: web.AppKey[RequestLog] = web.AppKey("log", RequestLog)
FAULTS: web.AppKey[faults.Faults] = web.AppKey("faults", faults.Faults)
THROTTLE: web.AppKey[deque[float]] = web.AppKey("throttle")


def concerns_clients(request: web.Request) -> bool:
    """Tell API and git requests from those of people and of the control side."""
    path = request.rel_url.raw_path
    return path.startswith("/api/") or ".git/" in path


@web.middleware
async def log_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    if not concerns_clients(request):
        return await handler(request)
    started = time.monotonic()
    now = request.app[WORLD].clock.now()
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
    """Answer as Grape does, in JSON, where aiohttp would answer in text."""
    try:
        return await handler(request)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
        if not request.path.startswith("/api/"):
            raise
        text = "404 Not Found" if error.status == 404 else "405 Not Allowed"
        return web.json_response({"error": text}, status=error.status)


@web.middleware
async def order_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    if not concerns_clients(request) or _asks_first(request):
        return await handler(request)
    fault = request.app[FAULTS].take(request.method, request.rel_url.raw_path)
    return await handler(request) if fault is None else await faults.apply(fault, request, handler)


def _asks_first(request: web.Request) -> bool:
    """Tell the four bytes that git sends before a large push from the push itself."""
    return request.path.endswith("/git-receive-pack") and request.content_length == 4


@web.middleware
async def throttle(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse as Rack::Attack does: text, not JSON."""
    world = request.app[WORLD]
    limit = world.settings.requests_per_minute
    if limit is None or not request.path.startswith("/api/"):
        return await handler(request)
    now = world.clock.now()
    seen = request.app[THROTTLE]
    period = int(now.timestamp()) // 60
    while seen and int(seen[0]) // 60 != period:
        seen.popleft()
    seen.append(now.timestamp())
    reset = (period + 1) * 60
    headers = {
        "RateLimit-Name": "throttle_authenticated_api",
        "RateLimit-Limit": str(limit),
        "RateLimit-Observed": str(len(seen)),
        "RateLimit-Remaining": str(max(limit - len(seen), 0)),
        "RateLimit-Reset": str(reset),
        "RateLimit-ResetTime": format_datetime(now, usegmt=True),
    }
    if len(seen) <= limit:
        response = await handler(request)
        if world.settings.always_show_limits:
            response.headers.update(headers)
        return response
    headers["Retry-After"] = str(reset - int(now.timestamp()))
    return web.Response(status=429, text="Retry later\n", headers=headers)


@web.middleware
async def tell_the_time(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Date every answer by the simulator's clock, which tests move."""
    response = await handler(request)
    now = request.app[WORLD].clock.now()
    response.headers.setdefault("Date", format_datetime(now, usegmt=True))
    return response


@web.middleware
async def continue_event(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the hooks this request causes the event uuid that it carries."""
    causing_event.set(request.headers.get("X-Gitlab-Event-UUID"))
    return await handler(request)


MIDDLEWARES = (
    tell_the_time,
    log_requests,
    unknown_routes,
    order_faults,
    throttle,
    continue_event,
)
