"""What operators ask of NATS: the server, consumers, dead letters, and the log piece by piece.

Used by `gca doctor`, `gca events` and `gca stats`; services do not need it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from urllib.parse import urlsplit

import msgspec
import structlog

from libs.common import subjects
from libs.common.errors import Permanent, cut
from libs.common.events.envelope import Recorded
from libs.common.jetstream import letters, reading
from libs.common.jetstream.answers import NO_CONSUMER, NO_STREAM, Refused, away
from libs.common.jetstream.artifacts import Artifacts
from libs.common.jetstream.connecting import without_login
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.letters import DeadLetter
from libs.common.jetstream.packing import unpack
from libs.common.jetstream.topology import DEAD_LETTERS, EVENTS

_PORT = 4222
_log = structlog.get_logger(__name__)


class Greeting(msgspec.Struct, frozen=True, kw_only=True):
    """What a server says first, before any login (NATS protocol, INFO)."""

    version: str
    jetstream: bool = False


class ConsumerState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a service is: all up to `handled` is done, `waiting` fetches are open."""

    name: str
    handled: int
    pending: int
    """Events not yet delivered once."""
    unacknowledged: int
    """Events delivered and not done: in hand, or waiting for another try."""
    waiting: int
    """Fetches that stand open; 0 when nobody listens, or all hands are full."""


async def greet(url: str, patience: float) -> Greeting:
    """The greeting of the first server in `url`; raises `Temporary` when none comes."""
    where = without_login(url.split(",", maxsplit=1)[0])
    parts = urlsplit(where)
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port or _PORT)
            try:
                line = await reader.readline()
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError:
        raise away(f"NATS at {where} does not answer") from None
    except OSError as error:
        raise away(f"NATS at {where} is not reachable: {cut(str(error))}") from None
    if not line.startswith(b"INFO "):
        raise away(f"what answers at {where} is not NATS")
    try:
        return msgspec.json.decode(line[5:], type=Greeting)
    except msgspec.MsgspecError:
        raise away(f"NATS at {where} greets in a way we cannot read") from None


async def server_time(connection: Connection) -> datetime | None:
    """The server's clock; None when it does not say."""
    found = (await connection.read(f"STREAM.INFO.{EVENTS}")).get("ts")
    return reading.read_time(str(found)) if found else None


async def consumer_state(connection: Connection, name: str) -> ConsumerState | None:
    """None when there is no such durable."""
    try:
        found = await connection.api(f"CONSUMER.INFO.{EVENTS}.{name}")
    except Refused as error:
        if error.number in (NO_CONSUMER, NO_STREAM):
            return None
        raise
    return ConsumerState(
        name=name,
        handled=int(found["ack_floor"]["stream_seq"]),
        pending=int(found["num_pending"]),
        unacknowledged=int(found["num_ack_pending"]),
        waiting=int(found["num_waiting"]),
    )


async def newest(connection: Connection, subject: str) -> Recorded | None:
    """The newest event whose subject matches."""
    found = await reading.last(connection, EVENTS, subject)
    return await unpack(Artifacts(connection), found) if found else None


async def dead_letters_of(connection: Connection, scope: str, ref: str) -> list[DeadLetter]:
    """Dead letters about one merge request or issue, oldest first; those put back count too."""
    filters = subjects.letters_about(f"{scope}.{ref}.>")
    found = await reading.last_per_subject(connection, DEAD_LETTERS, filters)
    return [letters.read(stored) for stored in found]


async def chain(connection: Connection, scope: str, ref: str) -> list[Recorded]:
    """Every event about one merge request or issue, and every retry of one; oldest first."""
    found = [
        record
        for subject in subjects.events_about(f"{scope}.{ref}.>")
        async for record in scan(connection, subject)
    ]
    return sorted(found, key=lambda record: record.seq)


async def scan(
    connection: Connection, subject: str, since: datetime | None = None
) -> AsyncIterator[Recorded]:
    """Every event (since `since`) whose subject matches, in order; a batch at a time in memory."""
    artifacts = Artifacts(connection)
    async for stored in reading.scan(connection, EVENTS, subject, since):
        try:
            yield await unpack(artifacts, stored)
        except Permanent as error:
            _log.warning("an event cannot be read", seq=stored.seq, why=str(error))
