"""The HTTP side of the simulator: one application with every part, started on a free port.

Base of `actions.Actions`, and so of `simulator.SimulatedGitLab`, which tests use.
"""

from __future__ import annotations

import shutil
from collections import deque
from typing import TYPE_CHECKING

from aiohttp import web

from . import control, control_people, rest, smart_http
from . import web as pages
from .api import WORLD
from .faults import Faults
from .middleware import FAULTS, LOG, MIDDLEWARES, THROTTLE
from .request_log import LoggedRequest, RequestLog
from .webhooks import Webhooks
from .world import World

if TYPE_CHECKING:
    from pathlib import Path

    from .settings import ServerSettings
    from .world import ExecutedCommand

MAX_REQUEST = 64 * 1024 * 1024


class Server:
    """A world behind HTTP. The repositories of an earlier start in this folder are removed."""

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder / "repositories", ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        self.world = World(folder)
        self.world.webhooks = Webhooks(self.world)
        self.faults = Faults()
        self.log = RequestLog()
        self._runner: web.AppRunner | None = None

    def application(self) -> web.Application:
        app = web.Application(middlewares=MIDDLEWARES, client_max_size=MAX_REQUEST)
        app[WORLD], app[LOG], app[FAULTS] = self.world, self.log, self.faults
        app[THROTTLE], app[smart_http.PUSHES] = deque(), {}
        for part in (rest, control_people, control, smart_http, pages):
            app.add_routes(part.routes())
        return app

    async def start(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        app = self.application()
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound = self._runner.addresses[0][1]
        self.world.url = f"http://{host}:{bound}"

    async def stop(self) -> None:
        await self.world.webhooks.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        return self.world.url

    @property
    def settings(self) -> ServerSettings:
        return self.world.settings

    def advance(self, seconds: float) -> None:
        """Move the server's clock forward."""
        self.world.clock.advance(seconds)

    @property
    def requests(self) -> list[LoggedRequest]:
        return self.log.entries

    @property
    def executed_commands(self) -> list[ExecutedCommand]:
        return self.world.executed_commands
