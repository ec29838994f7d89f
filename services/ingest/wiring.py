"""Builds ingest: two ports, one log. Called by `libs.common.service` by `__main__`.

`wiring_pollers` builds what looks at GitLab and Jira.

The ports are open before NATS is there, so that GitLab gets a 503 instead of no answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator

import structlog
from aiohttp import web

from libs.common.clock import SystemClock
from libs.common.errors import AgentError
from libs.common.jetstream.access import Access
from libs.common.jetstream.artifacts import Artifacts
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.log import JetStreamLog
from libs.common.service import Life, Running, listen
from libs.common.settings import reveal
from services.ingest.agent import AgentLookup
from services.ingest.intake import Intake, watch_fill
from services.ingest.late_log import LateLog
from services.ingest.settings import Settings
from services.ingest.task_door import TaskDoor
from services.ingest.webhook import PATH, Webhook
from services.ingest.wiring_pollers import Around, look_at_gitlab, look_at_jira, watched_hooks

log = structlog.get_logger()
SHUTDOWN_SECONDS = 10.0
NAME = "ingest"


@contextlib.asynccontextmanager
async def wire(settings: Settings, life: Life) -> AsyncIterator[Running]:
    """Serve both ports; a port that cannot be had ends the service with a sentence."""
    clock, late = SystemClock(), LateLog()
    intake = Intake(late)
    lookup = AgentLookup(settings.agent_gitlab_username)
    hooks = watched_hooks(settings, clock)
    webhook = Webhook(
        keys=settings.keys(),
        allowed=settings.allowed_projects(),
        intake=intake,
        clock=clock,
        agent=lambda: lookup.agent,
        hooks=hooks,
    )
    door = TaskDoor(secret=reveal(settings.task_door_secret), log=late, artifacts=late, clock=clock)
    running = Running(
        loops=[lambda stopping: watch_fill(intake, late, stopping)],
        details={"events": intake.trouble},
    )
    async with contextlib.AsyncExitStack() as ports:
        there = await ports.enter_async_context(_log_connection(settings, life, late, running))
        around = Around(there=there, running=running, stack=ports, intake=intake)
        await look_at_gitlab(settings, lookup, hooks, around)
        await look_at_jira(settings, around)
        try:
            number = await ports.enter_async_context(
                _serving(webhook.application(), settings.host, settings.port, name="PORT")
            )
            log.info("webhook listening", port=number, url=_url(settings.host, number) + PATH)
            number = await ports.enter_async_context(
                _serving(
                    door.application(),
                    settings.task_door_host,
                    settings.task_door_port,
                    name="TASK_DOOR_PORT",
                )
            )
            log.info("task door listening", port=number, url=_url(settings.task_door_host, number))
        except AgentError as error:
            life.lost(str(error))
        yield running


@contextlib.asynccontextmanager
async def _serving(app: web.Application, host: str, port: int, *, name: str) -> AsyncIterator[int]:
    """Answer on `port` while open; raises `AgentError` with the setting's `name`."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        try:
            number = await listen(runner, host, port)
        except OSError as error:
            raise AgentError(_port_problem(error, host, port, name)) from None
        yield number
    finally:
        await runner.cleanup()


def _port_problem(error: OSError, host: str, port: int, name: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{name}: port {port} is in use by another program; set {name} to a free one"
    if error.errno == errno.EACCES:
        return f"{name}: port {port} needs more rights; set {name} to one from 1024 on"
    setting = name.replace("PORT", "HOST")
    return f"{setting}: cannot listen on {host}: {error.strerror or 'unknown address'}"


@contextlib.asynccontextmanager
async def _log_connection(
    settings: Settings, life: Life, late: LateLog, running: Running
) -> AsyncIterator[asyncio.Future[Connection]]:
    """Connect in the background and stay so until the ports are closed again."""
    there: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()

    async def stay_connected() -> None:
        try:
            async with connected(
                settings.nats_url,
                name=NAME,
                access=Access(settings.nats_credentials, settings.ca_bundle),
                on_closed=lambda: life.lost("the connection to NATS closed for good"),
                patience=None,
            ) as connection:
                late.arrived(JetStreamLog(connection), Artifacts(connection))
                there.set_result(connection)
                running.checks["log"] = connection.trouble
                await asyncio.Event().wait()
        except Exception as error:
            log.exception("connecting failed")
            life.lost(str(error))

    running.checks["log"] = _not_there
    connecting = asyncio.create_task(stay_connected())
    try:
        yield there
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)


async def _not_there() -> str | None:
    return "not connected to NATS yet (NATS_URL)"


def _url(host: str, port: int) -> str:
    reachable = "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104  only compared
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
