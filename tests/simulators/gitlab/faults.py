"""Answers that a test orders: errors, HTML, slowness, hangs, and commit-then-drop.

`take` is asked by the middleware for each request; control and tests add faults.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FOREVER = 3600.0


@dataclass
class Fault:
    """What happens to a request that matches.

    `delay` seconds first. With `commit` the request is carried out before the rest. Then one of:
    `hang` (no answer), `drop` (the connection is cut), `status` with `body` and `headers`; with
    none of these the real answer is sent, late.
    """

    method: str = ""
    path: str = ""
    times: int = 1
    skip: int = 0  # let so many matching requests through first
    status: int | None = None
    body: str | dict[str, Any] | list[Any] = ""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    commit: bool = False
    drop: bool = False
    hang: bool = False

    def matches(self, method: str, path: str) -> bool:
        same_method = self.method.upper() in {"", method}
        return self.times > 0 and same_method and re.search(self.path, path) is not None


class Faults:
    """The faults in force, in the order they were added; the first that matches is used."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, **fields: Any) -> Fault:
        """Add one; the fields are those of Fault."""
        fault = Fault(**fields)
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        self._faults.clear()

    def take(self, method: str, path: str) -> Fault | None:
        for fault in self._faults:
            if not fault.matches(method, path):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                return None
            fault.times -= 1
            return fault
        return None


async def apply(
    fault: Fault,
    request: web.Request,
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> web.StreamResponse:
    if fault.delay:
        await asyncio.sleep(fault.delay)
    if fault.commit:
        await handler(request)
    if fault.hang:
        await asyncio.sleep(FOREVER)
    if fault.drop:
        return _cut(request)
    if fault.status is None:
        return await handler(request)
    return _answer(fault)


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _answer(fault: Fault) -> web.Response:
    headers = dict(fault.headers)
    if isinstance(fault.body, str):
        kind = "text/html" if fault.body.lstrip().startswith("<") else "text/plain"
        headers.setdefault("Content-Type", kind)
        return web.Response(status=fault.status or 500, text=fault.body, headers=headers)
    headers.setdefault("Content-Type", "application/json")
    return web.Response(status=fault.status or 500, text=json.dumps(fault.body), headers=headers)
