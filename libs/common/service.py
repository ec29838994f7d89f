"""The life of a service: settings, logs, signals, health, drain. Called by each `__main__`.

`wire` builds the service's adapters as an async context manager and yields what to run.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TypeVar

import structlog
from aiohttp import web

from libs.common import metrics, telemetry
from libs.common.errors import SettingsError
from libs.common.settings import Common, load

log = structlog.get_logger()
_S = TypeVar("_S", bound=Common)
Loop = Callable[[asyncio.Event], Awaitable[None]]
Check = Callable[[], Awaitable[str | None]]

EXIT_SETTINGS = 2
EXIT_LOST = 3
DRAIN_SECONDS = 25.0
GARBAGE_BETWEEN_PASSES = 10_000
"""Objects that may be made before the garbage collector looks at the young ones."""
FINE = "ok"
CHECK = "--check"
"""Argument of every service, for `gca doctor`: are the settings good?"""


@dataclass
class Running:
    """What `wire` hands over: loops that end when `stopping` is set, and readiness checks.

    A check returns None when all is well, else a sentence that says what is not. Those in
    `details` are shown and never make the service unready: an operator has something to mend, and
    the work goes on.
    """

    loops: list[Loop] = field(default_factory=list)
    checks: dict[str, Check] = field(default_factory=dict)
    details: dict[str, Check] = field(default_factory=dict)


@dataclass
class Life:
    """Given to `wire`: `stopping` ends the loops, `lost` ends the process with an error."""

    stopping: asyncio.Event
    failures: list[str] = field(default_factory=list)

    def lost(self, why: str) -> None:
        """Something this process cannot live without is gone for good."""
        self.failures.append(why)
        self.stopping.set()


Wire = Callable[[_S, Life], AbstractAsyncContextManager[Running]]


def run(name: str, settings: type[_S], wire: Wire[_S]) -> None:
    """Run a service until SIGTERM or SIGINT; exits 2 on wrong settings, 3 when a peer is lost.

    With `--check` it only reads its settings and exits: 0 when it could start, else 2.
    """
    try:
        loaded = load(settings)
    except SettingsError as error:
        lines = "".join(f"  {problem}\n" for problem in error.problems)
        sys.stderr.write(f"{name} cannot start; settings to mend:\n{lines}")
        sys.exit(EXIT_SETTINGS)
    if CHECK in sys.argv[1:]:
        sys.exit(0)
    collector, authorities = loaded.otel_exporter_otlp_endpoint, loaded.ca_bundle
    telemetry.configure(name, loaded.log_level, endpoint=collector, ca_bundle=authorities)
    metrics.configure(name, endpoint=collector, ca_bundle=authorities)
    code = asyncio.run(_serve(loaded, wire))
    metrics.shutdown()
    telemetry.shutdown()
    sys.exit(code)


async def _serve(settings: _S, wire: Wire[_S]) -> int:
    life = Life(stopping=asyncio.Event())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, life.stopping.set)
    port = settings.health_port or settings.health_default
    health = Health()
    try:
        async with health.serving(settings.health_host, port) as port:
            log.info("service starting", health_port=port, pid=os.getpid())
            await _until_stopped(settings, wire, life, health)
    except OSError as error:
        life.failures.append(f"HEALTH_PORT: cannot listen on {port}: {error.strerror}")
    for why in life.failures:
        log.error("service ended", why=why)
    log.info("service stopped")
    return EXIT_LOST if life.failures else 0


async def _until_stopped(settings: _S, wire: Wire[_S], life: Life, health: Health) -> None:
    living = asyncio.create_task(_live(settings, wire, life, health))
    told = asyncio.create_task(life.stopping.wait())
    await asyncio.wait({living, told}, return_when=asyncio.FIRST_COMPLETED)
    # A service still waiting for a peer to come up has nothing to drain.
    if health.checks is None:
        living.cancel()
    await asyncio.gather(living, return_exceptions=True)
    told.cancel()
    if not living.cancelled() and living.exception() is not None:
        life.failures.append(str(living.exception()))


async def _live(settings: _S, wire: Wire[_S], life: Life, health: Health) -> None:
    async with wire(settings, life) as running:
        health.checks, health.details = running.checks, running.details
        log.info("service up")
        _spare_the_collector()
        await _run_loops(running.loops, life)


def _spare_the_collector() -> None:
    """Have Python's garbage collector pass over what stays for good, and come less often.

    Requests free their memory without it; its passes were a tenth of a webhook's cost.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_BETWEEN_PASSES)


async def _run_loops(loops: list[Loop], life: Life) -> None:
    tasks = [asyncio.create_task(_guarded(loop, life)) for loop in loops]
    await life.stopping.wait()
    _, late = await asyncio.wait(tasks, timeout=DRAIN_SECONDS) if tasks else (set(), set())
    for task in late:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _guarded(loop: Loop, life: Life) -> None:
    """A loop that ends or fails while the service should run takes the process with it."""
    try:
        await loop(life.stopping)
    except Exception as error:
        log.exception("loop failed")
        life.lost(f"{type(error).__name__}: {error}")
    if not life.stopping.is_set():
        life.lost("a loop ended by itself")


class Health:
    """`/healthz` says the process lives, `/readyz` whether it can work, `/metrics` follows."""

    def __init__(self) -> None:
        self.checks: dict[str, Check] | None = None
        self.details: dict[str, Check] = {}

    @contextlib.asynccontextmanager
    async def serving(self, host: str, port: int) -> AsyncIterator[int]:
        """Answer on `port` (0: any) while open; yields the port."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            yield await listen(runner, host, port)
        finally:
            await runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, _: web.Request) -> web.Response:
        if self.checks is None:
            return web.json_response({"status": "starting"}, status=503)
        checks = await _said(self.checks)
        ready = all(said == FINE for said in checks.values())
        body = {"status": "ready" if ready else "not ready", "checks": checks}
        body |= {"details": await _said(self.details)} if self.details else {}
        return web.json_response(body, status=200 if ready else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=metrics.exposition(), content_type="text/plain", charset="utf-8")


async def _said(checks: dict[str, Check]) -> dict[str, str]:
    # A copy: a loop may add its own while another answers.
    return {name: await check() or FINE for name, check in list(checks.items())}


async def listen(runner: web.AppRunner, host: str, port: int) -> int:
    """Bind `runner` to `port` (0: any) and return the port; raises OSError when it is taken."""
    site = web.TCPSite(runner, host, port)
    await site.start()
    return int(runner.addresses[-1][1])
