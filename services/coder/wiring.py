"""Builds the coder's adapters; nothing else in the service does. Called by `__main__`."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from libs.common.clock import SystemClock
from libs.common.gitlab.agent import Agent
from libs.common.gitlab.client import GitLabClient
from libs.common.jetstream.access import Access
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.consumer import Consumer
from libs.common.jetstream.dead_letters import DeadLetters
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import DEDUP
from libs.common.launching.building import reconciler
from libs.common.launching.reconciler import Reconciler
from libs.common.service import Life, Running
from libs.common.serving import Policy
from libs.common.spending import Spending
from services.coder.closing import superseded
from services.coder.handlers import KINDS, on_event
from services.coder.ports import SOURCE, Ports
from services.coder.settings import Settings
from services.coder.turns import on_hold


@asynccontextmanager
async def wire(settings: Settings, life: Life) -> AsyncIterator[Running]:
    """Connect, and yield the consumer and the reconciler as loops."""
    async with (
        connected(
            settings.nats_url,
            name=SOURCE,
            access=Access(settings.nats_credentials, settings.ca_bundle),
            on_closed=lambda: life.lost("the connection to NATS closed for good"),
            patience=None,
        ) as connection,
        GitLabClient(settings.gitlab_server()) as gitlab,
    ):
        reconciling = reconciler(
            settings, connection, kinds=KINDS, source=SOURCE, policy=superseded, hold=on_hold
        )
        ports = _ports(settings, connection, gitlab, reconciling)
        consumer = Consumer(
            connection,
            durable=SOURCE,
            handler=functools.partial(on_event, ports=ports),
            dead=DeadLetters(connection),
            clock=ports.clock,
        )
        yield Running(
            loops=[consumer.run, reconciling.run],
            checks={"nats": connection.trouble},
            details={"jobs": reconciling.launcher.trouble},
        )


def _ports(
    settings: Settings, connection: Connection, gitlab: GitLabClient, reconciling: Reconciler
) -> Ports:
    return Ports(
        log=JetStreamLog(connection),
        gitlab=gitlab,
        agent=Agent(gitlab, settings.agent_gitlab_username),
        spending=Spending(JetStreamKeyValue(connection, DEDUP), settings.budgets()),
        clock=SystemClock(),
        policy=Policy(
            gitlab_url=settings.gitlab_url,
            limits=settings.limits(),
            projects=settings.allowed_projects(),
            levels=settings.levels(),
            allow_http=settings.allow_http_gitlab,
        ),
        wake=reconciling.wake,
    )
