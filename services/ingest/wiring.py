"""Builds ingest: two ports, one log, a poller. Called by `libs.common.service` by `__main__`.

The ports are open before NATS is there, so that GitLab gets a 503 instead of no answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator
from typing import Any

import structlog
from aiohttp import web

from libs.common.clock import SystemClock
from libs.common.errors import AgentError
from libs.common.gitlab.client import GitLabClient
from libs.common.gitlab.server import Server
from libs.common.jetstream.artifacts import Artifacts
from libs.common.jetstream.connection import Connection, connected
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.leases import Leases
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import LOCKS
from libs.common.jira.client import JiraClient
from libs.common.service import Life, Running, listen
from libs.common.settings import reveal
from services.ingest.agent import AgentLookup, say_what_counts
from services.ingest.intake import Intake, watch_fill
from services.ingest.jira_issues import Rules
from services.ingest.jira_poller import JiraPoller, Ports
from services.ingest.late_log import LateLog
from services.ingest.settings import Settings
from services.ingest.task_door import TaskDoor
from services.ingest.webhook import PATH, Webhook

log = structlog.get_logger()
SHUTDOWN_SECONDS = 10.0
NAME = "ingest"


@contextlib.asynccontextmanager
async def wire(settings: Settings, life: Life) -> AsyncIterator[Running]:
    """Serve both ports; a port that cannot be had ends the service with a sentence."""
    clock, late = SystemClock(), LateLog()
    intake = Intake(late)
    lookup = AgentLookup(settings.agent_gitlab_username)
    webhook = Webhook(
        keys=settings.keys(),
        allowed=settings.allowed_projects(),
        intake=intake,
        clock=clock,
        agent=lambda: lookup.agent,
    )
    door = TaskDoor(secret=reveal(settings.task_door_secret), log=late, artifacts=late, clock=clock)
    running = Running(loops=[lambda stopping: watch_fill(intake, late, stopping)])
    async with contextlib.AsyncExitStack() as ports:
        there = await ports.enter_async_context(_log_connection(settings, life, late, running))
        await _look_up_agent(settings, lookup, running, ports)
        await _poll_jira(settings, there, running, ports)
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


async def _look_up_agent(
    settings: Settings, lookup: AgentLookup, running: Running, stack: contextlib.AsyncExitStack
) -> None:
    token = reveal(settings.gitlab_read_token)
    if not token:
        say_what_counts(settings.agent_gitlab_username)
        return
    server = Server(
        url=settings.gitlab_url,
        token=token,
        token_setting="GITLAB_READ_TOKEN",  # noqa: S106  # the setting's name
        ca_bundle=str(settings.ca_bundle) if settings.ca_bundle else None,
        allow_http=settings.allow_http_gitlab,
    )
    users = await stack.enter_async_context(GitLabClient(server, workers=1))
    running.loops.append(lambda stopping: lookup.run(users, stopping))


async def _poll_jira(
    settings: Settings,
    there: asyncio.Future[Connection],
    running: Running,
    stack: contextlib.AsyncExitStack,
) -> None:
    server = settings.jira_server()
    if server is None:
        return
    jira = await stack.enter_async_context(JiraClient(server))
    rules = Rules(
        status=settings.jira_trigger_status,
        projects={project.key: project for project in settings.jira_project_map},
        allowed_users=settings.jira_allowed_users,
    )

    async def poll(stopping: asyncio.Event) -> None:
        told = asyncio.create_task(stopping.wait())
        either: set[asyncio.Future[Any]] = {there, told}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if there.done():
            clock, connection = SystemClock(), there.result()
            leases = Leases(JetStreamKeyValue(connection, LOCKS), clock)
            ports = Ports(jira=jira, log=JetStreamLog(connection), leases=leases, clock=clock)
            poller = JiraPoller(ports, rules, settings.jira_poll_interval)
            running.details["jira"] = poller.trouble
            await poller.run(stopping)
        await told

    running.loops.append(poll)


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
                credentials=settings.nats_credentials,
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
