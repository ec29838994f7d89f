"""Builds the publisher's adapters; nothing else in the service does. Called by `__main__`."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from libs.common.clock import SystemClock
from libs.common.gitlab.client import GitLabClient
from libs.common.gitlab.server import Server
from libs.common.jetstream.connection import connected
from libs.common.jetstream.consumer import Consumer
from libs.common.jetstream.dead_letters import DeadLetters
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.leases import Leases
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import DEDUP, LOCKS
from libs.common.reviewed import Reviewed
from libs.common.service import Life, Running
from libs.common.settings import reveal
from services.publisher.firewall import Policy
from services.publisher.handlers import on_event
from services.publisher.ports import Ports
from services.publisher.settings import Settings

NAME = "publisher"


@asynccontextmanager
async def wire(settings: Settings, life: Life) -> AsyncIterator[Running]:
    """Connect, and yield the consumer as the one loop."""
    clock = SystemClock()
    token = reveal(settings.gitlab_token)
    server = Server(
        url=settings.gitlab_url,
        token=token,
        ca_bundle=str(settings.ca_bundle) if settings.ca_bundle else None,
        allow_http=settings.allow_http_gitlab,
    )
    async with (
        connected(
            settings.nats_url,
            name=NAME,
            credentials=settings.nats_credentials,
            on_closed=lambda: life.lost("the connection to NATS closed for good"),
            patience=None,
        ) as connection,
        GitLabClient(server) as gitlab,
    ):
        ports = Ports(
            log=JetStreamLog(connection),
            gitlab=gitlab,
            leases=Leases(JetStreamKeyValue(connection, LOCKS), clock),
            reviewed=Reviewed(JetStreamKeyValue(connection, DEDUP)),
            clock=clock,
            policy=Policy(
                allowed_hosts=frozenset({urlsplit(settings.gitlab_url.lower()).netloc}),
                secrets=(token,),
            ),
            lease_seconds=settings.lease_seconds,
        )
        consumer = Consumer(
            connection,
            durable=NAME,
            handler=functools.partial(on_event, ports=ports),
            dead=DeadLetters(connection),
            clock=clock,
        )

        yield Running(loops=[consumer.run], checks={"nats": connection.trouble})
