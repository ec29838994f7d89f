"""Builds the publisher's adapters; nothing else in the service does. Called by `__main__`."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from urllib.parse import urlsplit

from libs.common.clock import SystemClock
from libs.common.gitlab.client import GitLabClient
from libs.common.gitlab.expiry import TokenExpiry
from libs.common.gitlab.server import Server
from libs.common.jetstream.access import Access
from libs.common.jetstream.artifacts import Artifacts
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.consumer import Consumer
from libs.common.jetstream.dead_letters import DeadLetters
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.leases import Leases
from libs.common.jetstream.letters import Letters
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import DEDUP, LOCKS, WATERMARKS
from libs.common.jira.client import JiraClient
from libs.common.jira.server import JiraServer
from libs.common.reviewed import Reviewed
from libs.common.service import Life, Loop, Running
from libs.common.settings import reveal
from services.publisher.firewall import Policy
from services.publisher.handlers import on_event
from services.publisher.mishaps import Mishaps
from services.publisher.ports import Ports
from services.publisher.repository import GitRepository
from services.publisher.settings import Settings

NAME = "publisher"


def _jira(server: JiraServer | None) -> AbstractAsyncContextManager[JiraClient | None]:
    return JiraClient(server) if server else nullcontext()


def _hosts(*urls: str | None) -> frozenset[str]:
    return frozenset(urlsplit(url.lower()).netloc for url in urls if url)


@asynccontextmanager
async def wire(settings: Settings, life: Life) -> AsyncIterator[Running]:
    """Connect, and yield the consumer and the look at dead letters as loops."""
    clock = SystemClock()
    token = reveal(settings.gitlab_token)
    server = Server(
        url=settings.gitlab_url,
        token=token,
        ca_bundle=str(settings.ca_bundle) if settings.ca_bundle else None,
        allow_http=settings.allow_http_gitlab,
    )
    jira_server = settings.jira_server()
    async with (
        connected(
            settings.nats_url,
            name=NAME,
            access=Access(settings.nats_credentials, settings.ca_bundle),
            on_closed=lambda: life.lost("the connection to NATS closed for good"),
            patience=None,
        ) as connection,
        GitLabClient(server) as gitlab,
        _jira(jira_server) as jira,
    ):
        ports = Ports(
            log=JetStreamLog(connection),
            gitlab=gitlab,
            jira=jira,
            repository=GitRepository(token),
            artifacts=Artifacts(connection),
            leases=Leases(JetStreamKeyValue(connection, LOCKS), clock),
            reviewed=Reviewed(JetStreamKeyValue(connection, DEDUP)),
            clock=clock,
            policy=Policy(
                allowed_hosts=_hosts(settings.gitlab_url, settings.jira_url),
                secrets=(token, *(jira_server.secrets if jira_server else ())),
            ),
            rules=settings.rules(),
            lease_seconds=settings.lease_seconds,
        )
        consumer = Consumer(
            connection,
            durable=NAME,
            handler=functools.partial(on_event, ports=ports),
            dead=DeadLetters(connection),
            clock=clock,
        )

        watermarks = JetStreamKeyValue(connection, WATERMARKS)
        mishaps = Mishaps(Letters(connection), watermarks, ports)
        loops: list[Loop] = [consumer.run, mishaps.run, TokenExpiry(gitlab).run]
        yield Running(loops=loops, checks={"nats": connection.trouble})
