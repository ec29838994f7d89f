"""Builds ingest's pollers, as far as the settings ask for them. Called by `wiring`.

They begin once NATS is there; one client of GitLab and one budget serve all that ingest reads.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from libs.common.clock import Clock, SystemClock
from libs.common.gitlab.budget import Budget
from libs.common.gitlab.client import GitLabClient
from libs.common.gitlab.server import Server
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.leases import Leases
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import LOCKS, WATERMARKS
from libs.common.jira.client import JiraClient
from libs.common.service import Loop, Running
from libs.common.settings import reveal
from services.ingest import jira_issues, jira_poller, poller, polling
from services.ingest.agent import AgentLookup, say_what_counts
from services.ingest.hook_watch import Unwatched, WatchedHooks
from services.ingest.intake import FactLog, Intake
from services.ingest.settings import Settings
from services.ingest.watermarks import Watermarks

There = asyncio.Future[Connection]


@dataclass(frozen=True, kw_only=True)
class Around:
    """What the pollers are built into."""

    there: There
    running: Running
    stack: contextlib.AsyncExitStack
    intake: Intake


def watched_hooks(settings: Settings, clock: Clock) -> WatchedHooks | Unwatched:
    if not settings.gitlab_poll or not settings.hook_watch_seconds:
        return Unwatched()
    return WatchedHooks(settings.hook_watch_seconds, clock)


async def look_at_gitlab(
    settings: Settings,
    lookup: AgentLookup,
    hooks: WatchedHooks | Unwatched,
    around: Around,
) -> None:
    """Ask who we are, and with GITLAB_POLL what is new."""
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
    gitlab = await around.stack.enter_async_context(
        GitLabClient(server, workers=1, budget=Budget())
    )
    lookup.seek()
    around.running.loops.append(lambda stopping: lookup.run(gitlab, stopping))
    if not settings.gitlab_poll:
        return

    async def poll(connection: Connection, stopping: asyncio.Event) -> None:
        # Without its name the agent's mentions would be passed over.
        if await _first(lookup.known.wait(), stopping):
            log = FactLog(JetStreamLog(connection), around.intake)
            clock = SystemClock()
            ports = poller.Ports(
                gitlab=gitlab,
                log=log,
                leases=Leases(JetStreamKeyValue(connection, LOCKS), clock),
                marks=Watermarks(JetStreamKeyValue(connection, WATERMARKS)),
                hooks=hooks,
                clock=clock,
                agent=lambda: lookup.agent,
            )
            made = _gitlab_poller(settings, ports)
            around.running.details["gitlab"] = made.trouble
            await made.run(stopping)

    around.running.loops.append(_once_there(around.there, poll))
    if isinstance(hooks, WatchedHooks):
        around.running.details["webhooks"] = hooks.trouble
        around.running.loops.append(_once_there(around.there, _sharing(hooks)))


def _gitlab_poller(settings: Settings, ports: poller.Ports) -> poller.GitLabPoller:
    rules = polling.Rules(
        look_back=timedelta(seconds=settings.gitlab_poll_look_back),
        overlap=timedelta(seconds=settings.gitlab_poll_overlap),
        most=settings.gitlab_poll_most,
        interval=settings.gitlab_poll_interval,
    )
    host = urlsplit(settings.gitlab_url).hostname or ""
    places = polling.places(settings.gitlab_projects, settings.gitlab_groups, host)
    return poller.GitLabPoller(ports, rules, places, settings.allowed_projects())


async def look_at_jira(settings: Settings, around: Around) -> None:
    """With JIRA_URL, ask which issues are ready."""
    server = settings.jira_server()
    if server is None:
        return
    jira = await around.stack.enter_async_context(JiraClient(server))
    rules = jira_issues.Rules(
        status=settings.jira_trigger_status,
        projects={project.key: project for project in settings.jira_project_map},
        allowed_users=settings.jira_allowed_users,
    )

    async def poll(connection: Connection, stopping: asyncio.Event) -> None:
        clock = SystemClock()
        leases = Leases(JetStreamKeyValue(connection, LOCKS), clock)
        ports = jira_poller.Ports(
            jira=jira,
            log=FactLog(JetStreamLog(connection), around.intake),
            leases=leases,
            clock=clock,
        )
        made = jira_poller.JiraPoller(ports, rules, settings.jira_poll_interval)
        around.running.details["jira"] = made.trouble
        await made.run(stopping)

    around.running.loops.append(_once_there(around.there, poll))


def _sharing(hooks: WatchedHooks) -> Callable[[Connection, asyncio.Event], Awaitable[None]]:
    return lambda connection, stopping: hooks.share(
        JetStreamKeyValue(connection, WATERMARKS), stopping
    )


def _once_there(there: There, work: Callable[[Connection, asyncio.Event], Awaitable[None]]) -> Loop:
    """A loop that begins when NATS is connected and ends when told to."""

    async def loop(stopping: asyncio.Event) -> None:
        if await _first(asyncio.shield(there), stopping):
            await work(there.result(), stopping)
        await stopping.wait()

    return loop


async def _first(wanted: Awaitable[Any], stopping: asyncio.Event) -> bool:
    """Whether it came before we were told to stop."""
    waits = [asyncio.ensure_future(wanted), asyncio.ensure_future(stopping.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        return waits[0].done()
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
