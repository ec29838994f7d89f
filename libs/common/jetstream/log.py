"""The event log on JetStream: append, create once, and history by direct gets.

Built by each service's wiring; implements `libs.common.events.log.EventLog`.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial

import structlog

from libs.common import telemetry
from libs.common.errors import Permanent, Temporary
from libs.common.events.envelope import NewEvent, Recorded
from libs.common.events.log import Appended, Created
from libs.common.jetstream import messaging, reading
from libs.common.jetstream.answers import Refused, away
from libs.common.jetstream.artifacts import Artifacts
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.packing import pack, unpack
from libs.common.jetstream.reading import Stored
from libs.common.jetstream.topology import EVENTS

ATTEMPT = "gca-attempt"
"""Header that tells two writers of the same record apart when an answer was lost."""
LOOK_AGAIN = (0.05, 0.1, 0.2, 0.4, 0.4)
"""Seconds between looks for what was just written: a leader that is new reads what it has applied,
which may be less than the old one had acknowledged."""
_log = structlog.get_logger(__name__)


class JetStreamLog:
    """The stream EVENTS as a log; all calls raise `Temporary` (peer `nats`) while it is away.

    A full log is `Temporary` too. Bodies over 512 KiB go through the artifacts, unseen.
    """

    def __init__(
        self,
        connection: Connection,
        stream: str = EVENTS,
        *,
        look_again: Sequence[float] = LOOK_AGAIN,
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._look_again = look_again
        self._artifacts = Artifacts(connection)

    async def append(self, new: NewEvent) -> Appended:
        body, headers = await pack(self._artifacts, new)
        headers["Nats-Expected-Stream"] = self._stream
        with _sending(new.subject) as span:
            ack = await self._connection.publish(new.subject, body, headers=headers)
            span.set({"messaging.message.id": new.message_id, "gca.seq": ack.seq})
        return Appended(seq=ack.seq, duplicate=ack.duplicate)

    async def create(self, new: NewEvent) -> Created:
        """Append only as the first event ever of this exact subject.

        What is stored decides, not the answer: one server looks at the expected sequence first,
        three at the message id, and an answer can be lost on the way.
        """
        attempt = uuid.uuid4().hex
        with _sending(new.subject) as span:
            span.set({"messaging.message.id": new.message_id})
            trouble, answered = await self._try_create(new, attempt)
        found = await self._look(new.subject, self._look_again if answered else ())
        if found is None:
            raise trouble
        first = found.headers.get(ATTEMPT) == attempt
        return Created(first=first, record=await unpack(self._artifacts, found))

    async def history(self, *filters: str) -> list[Recorded]:
        found = await reading.last_per_subject(self._connection, self._stream, filters)
        return [event for stored in found if (event := await self._readable(stored))]

    async def last(self, subject: str) -> Recorded | None:
        found = await reading.last(self._connection, self._stream, subject)
        return await unpack(self._artifacts, found) if found else None

    async def subjects(self, *filters: str) -> set[str]:
        return await reading.subjects(self._connection, self._stream, filters)

    async def fill(self) -> float:
        """Share of the stream's max_bytes that is used, 0 to 1; 0 when it has no limit."""
        answer = await self._connection.read(f"STREAM.INFO.{self._stream}")
        limit = int(answer["config"].get("max_bytes", -1))
        return int(answer["state"]["bytes"]) / limit if limit > 0 else 0.0

    async def _look(self, subject: str, pauses: Sequence[float]) -> Stored | None:
        found = await reading.last(self._connection, self._stream, subject)
        for pause in pauses:
            if found is not None:
                break
            await asyncio.sleep(pause * random.uniform(0.7, 1.0))  # noqa: S311  # jitter
            found = await reading.last(self._connection, self._stream, subject)
        return found

    async def _try_create(self, new: NewEvent, attempt: str) -> tuple[Permanent | Temporary, bool]:
        """Publish as the first of its subject: what to raise when nothing is found there.

        And whether the server's answer says that there is something.
        """
        body, headers = await pack(self._artifacts, new)
        headers |= {
            "Nats-Expected-Stream": self._stream,
            "Nats-Expected-Last-Subject-Sequence": "0",
            ATTEMPT: attempt,
        }
        try:
            ack = await self._connection.publish(new.subject, body, headers=headers)
        except Temporary as error:
            return error, False
        except Refused:
            pass  # somebody was first; who that was is read next
        else:
            if ack.duplicate:
                used = f"message id {new.message_id} is already used on another subject"
                return Permanent(used), True
        return away(f"{new.subject} was written and is not there"), True

    async def _readable(self, stored: Stored) -> Recorded | None:
        try:
            return await unpack(self._artifacts, stored)
        except Permanent as error:
            _log.warning(
                "skipped an event that cannot be read",
                subject=stored.subject,
                seq=stored.seq,
                reason=str(error),
            )
            return None


def _sending(subject: str) -> AbstractContextManager[telemetry.Span]:
    """A leaf: who appends is the parent of whoever handles the event, as its header says."""
    return telemetry.leaf(
        f"send {messaging.template(subject)}",
        kind="producer",
        attributes=partial(messaging.attributes, "send", subject),
    )
