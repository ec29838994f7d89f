"""Builds the reviewer's adapters; nothing else in the service does. Called by `__main__`."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from libs.common.clock import SystemClock
from libs.common.gitlab.agent import Agent
from libs.common.gitlab.client import GitLabClient
from libs.common.gitlab.expiry import TokenExpiry
from libs.common.jetstream.access import Access
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.consumer import Consumer
from libs.common.jetstream.dead_letters import DeadLetters
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import DEDUP
from libs.common.launching.building import reconciler
from libs.common.reviewed import Reviewed
from libs.common.service import Life, Loop, Running
from libs.common.spending import Spending
from services.reviewer.handlers import on_event
from services.reviewer.ports import SOURCE, Policy, Ports
from services.reviewer.settings import Settings
from services.reviewer.superseding import superseded


@asynccontextmanager
async def wire(settings: Settings, life: Life) -> AsyncIterator[Running]:
    """Connect, and yield the consumer and the reconciler as loops."""
    clock = SystemClock()
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
            settings,
            connection,
            kinds=("review", "echo"),
            source=SOURCE,
            policy=lambda _, history: superseded(history),
        )
        dedup = JetStreamKeyValue(connection, DEDUP)
        ports = Ports(
            log=JetStreamLog(connection),
            gitlab=gitlab,
            agent=Agent(gitlab, settings.agent_gitlab_username).user,
            reviewed=Reviewed(dedup),
            spending=Spending(dedup, settings.budgets()),
            clock=clock,
            policy=Policy(
                gitlab_url=settings.gitlab_url,
                limits=settings.limits(),
                projects=settings.allowed_projects(),
                review_drafts=settings.review_drafts,
                allow_http=settings.allow_http_gitlab,
                levels=settings.levels(),
            ),
            wake=reconciling.wake,
        )
        consumer = Consumer(
            connection,
            durable=SOURCE,
            handler=functools.partial(on_event, ports=ports),
            dead=DeadLetters(connection),
            clock=clock,
        )

        loops: list[Loop] = [consumer.run, reconciling.run, TokenExpiry(gitlab).run]
        yield Running(
            loops=loops,
            checks={"nats": connection.trouble},
            details={"jobs": reconciling.launcher.trouble},
        )
