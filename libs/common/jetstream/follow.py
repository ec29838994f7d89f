"""Follows the log as it grows, without a consumer, for people who watch.

Used by `gca up` and `gca events --follow`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import structlog

from libs.common.errors import Permanent, Temporary
from libs.common.events.envelope import Recorded
from libs.common.jetstream import reading
from libs.common.jetstream.artifacts import Artifacts
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.packing import unpack
from libs.common.jetstream.topology import EVENTS

LOOK_SECONDS = 0.2
_AT_ONCE = 256
_log = structlog.get_logger(__name__)


async def last_seq(connection: Connection) -> int:
    """Sequence of the newest event; 0 in an empty log."""
    answer = await connection.read(f"STREAM.INFO.{EVENTS}")
    return int(answer["state"]["last_seq"])


async def follow(connection: Connection, subject: str, after: int) -> AsyncIterator[Recorded]:
    """Events after sequence `after` whose subject matches, then each new one, for ever.

    A log that was replaced by a new one while NATS was away is followed from its beginning.
    """
    artifacts = Artifacts(connection)
    away = False
    while True:
        try:
            if away and await last_seq(connection) < after:
                _log.warning("the log begins anew")
                after = 0
            asked = {"seq": after + 1, "next_by_subj": subject, "batch": _AT_ONCE}
            for stored in await reading.pages(connection, EVENTS, asked):
                after = stored.seq
                try:
                    yield await unpack(artifacts, stored)
                except Permanent as error:
                    _log.warning("an event cannot be read", seq=stored.seq, why=str(error))
            away = False
        except Temporary as error:
            if not away:
                _log.warning("cannot read the log now", why=str(error))
            away = True
        await asyncio.sleep(LOOK_SECONDS)
