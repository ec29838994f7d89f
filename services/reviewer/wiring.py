"""Builds the reviewer's adapters; nothing else in the service does. Called by `__main__`."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from libs.common.clock import SystemClock
from libs.common.gitlab.client import GitLabClient
from libs.common.gitlab.server import Server
from libs.common.jetstream.connection import Connection, connected
from libs.common.jetstream.consumer import Consumer
from libs.common.jetstream.dead_letters import DeadLetters
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import DEDUP, LOCKS
from libs.common.launching.effects import DoorAddress
from libs.common.launching.launches import Launches
from libs.common.launching.local import LocalLauncher
from libs.common.launching.local_steps import LocalSettings, local_steps
from libs.common.launching.protocol import Launch
from libs.common.launching.reconciler import Reconciler
from libs.common.launching.slots import Slots
from libs.common.launching.state import Step
from libs.common.reviewed import Reviewed
from libs.common.service import Life, Running
from libs.common.settings import reveal
from services.reviewer.handlers import SOURCE, Policy, Ports, on_event
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
            credentials=settings.nats_credentials,
            on_closed=lambda: life.lost("the connection to NATS closed for good"),
            patience=None,
        ) as connection,
        GitLabClient(_server(settings)) as gitlab,
    ):
        reconciler = _reconciler(settings, connection)
        ports = Ports(
            log=JetStreamLog(connection),
            gitlab=gitlab,
            reviewed=Reviewed(JetStreamKeyValue(connection, DEDUP)),
            clock=clock,
            policy=Policy(
                gitlab_url=settings.gitlab_url,
                limits=settings.limits(),
                projects=settings.allowed_projects(),
                review_drafts=settings.review_drafts,
                allow_http=settings.allow_http_gitlab,
            ),
            wake=reconciler.wake,
        )
        consumer = Consumer(
            connection,
            durable=SOURCE,
            handler=functools.partial(on_event, ports=ports),
            dead=DeadLetters(connection),
            clock=clock,
        )

        yield Running(loops=[consumer.run, reconciler.run], checks={"nats": connection.trouble})


def _server(settings: Settings) -> Server:
    return Server(
        url=settings.gitlab_url,
        token=reveal(settings.gitlab_read_token),
        token_setting="GITLAB_READ_TOKEN",  # noqa: S106  # the setting's name
        ca_bundle=str(settings.ca_bundle) if settings.ca_bundle else None,
        allow_http=settings.allow_http_gitlab,
    )


def _reconciler(settings: Settings, connection: Connection) -> Reconciler:
    return Reconciler(
        log=JetStreamLog(connection),
        launcher=LocalLauncher(
            settings.task_state_dir.resolve(),
            steps=functools.partial(_steps, settings),
            clones=settings.clone_dir.resolve(),
        ),
        slots=Slots(JetStreamKeyValue(connection, LOCKS), settings.max_concurrent_tasks),
        launches=Launches(JetStreamKeyValue(connection, DEDUP)),
        clock=SystemClock(),
        kinds=frozenset({"review", "echo"}),
        source=SOURCE,
        policy=lambda _, history: superseded(history),
        door=DoorAddress(url=settings.task_door_url, secret=reveal(settings.task_door_secret)),
    )


def _steps(settings: Settings, launch: Launch) -> list[Step]:
    local = LocalSettings(
        python=sys.executable,
        clones=settings.clone_dir.resolve(),
        environment=os.environ,
        values=settings.of_steps(),
    )
    return local_steps(launch, settings=local, started_at=time.time())
