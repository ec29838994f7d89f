"""Dead letters as operators see them: read, put back for one consumer, dropped.

Used by `gca dead-letters`, `gca events`, `gca replay` and the publisher; who writes them is
`libs.common.jetstream.dead_letters`. What became of a letter is a note in `DEDUP`: the stream lets
nobody delete a single message, a purge takes the evidence away, and a crash between append and
note leaves a letter that can be put back again, which the retry's message id makes harmless.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any, Literal

import msgspec

from libs.common import subjects
from libs.common.errors import Permanent
from libs.common.events.envelope import CE_TYPE, MESSAGE_ID, TRACEPARENT
from libs.common.jetstream import dead_letters, reading
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.reading import Stored
from libs.common.jetstream.topology import DEAD_LETTERS, DEDUP, EVENTS

LETTER = "gca-dead-letter"
"""Header of a retry: which letter was put back."""
_KEPT = 91 * 24 * 3600
"""Seconds a note lives: a day longer than the letter."""
_AT_ONCE = 64


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message nobody could handle: what it was, who gave up, why."""

    subject: str
    service: str
    reason: str
    attempts: int
    seq: int
    """Of the original event."""
    time: datetime
    id: int = 0
    """Its place in DEAD_LETTERS, by which people name it."""
    message_id: str = ""
    """Of the letter itself."""
    event_type: str = ""
    trace_id: str = ""

    @property
    def original(self) -> str:
        """The subject of the event, also when it died as a retry."""
        return subjects.original(self.subject)


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator did with a letter; `seq` is the retry's place in the log."""

    what: Literal["retried", "dropped"]
    at: datetime
    seq: int = 0


def read(stored: Stored) -> DeadLetter:
    """A message of DEAD_LETTERS without its body; raises nothing, whatever it is."""
    headers = stored.headers
    service = stored.subject.split(".")[1]
    trace = headers.get(TRACEPARENT, "").split("-")
    return DeadLetter(
        subject=stored.subject.removeprefix(f"dead.{service}."),
        service=service,
        reason=headers.get(dead_letters.REASON, "no reason was kept"),
        attempts=_number(headers.get(dead_letters.ATTEMPTS, "")),
        seq=_number(headers.get(dead_letters.SEQ, "")),
        time=stored.time,
        id=stored.seq,
        message_id=headers.get(MESSAGE_ID, ""),
        event_type=headers.get(CE_TYPE, ""),
        trace_id=trace[1] if len(trace) == 4 else "",  # as W3C Trace Context has it
    )


class Letters:
    """The letters in DEAD_LETTERS; every call may raise `Temporary` (peer `nats`)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._fates = JetStreamKeyValue(connection, DEDUP)

    async def since(self, moment: datetime) -> AsyncIterator[Stored]:
        """All that were written then or later, oldest first, in batches."""
        async for stored in reading.scan(self._connection, DEAD_LETTERS, "dead.>", moment):
            yield stored

    async def get(self, letter_id: int) -> Stored | None:
        return await reading.at(self._connection, DEAD_LETTERS, letter_id)

    async def fate(self, letter: DeadLetter) -> Fate | None:
        """What an operator did with it; None while nobody has."""
        entry = await self._fates.get(_key(letter))
        return msgspec.json.decode(entry.value, type=Fate) if entry else None

    async def put_back(self, letter: DeadLetter, now: datetime) -> Fate:
        """Append it as `retry.<durable>.<subject>`, as it was; a second time is the same retry.

        Raises `Permanent` when its body was too large to be kept and the log has dropped it.
        """
        found = await self.get(letter.id)
        if found is None:
            raise Permanent(f"dead letter {letter.id} is gone")
        body, kept = found.body, _original_headers(found.headers)
        if dead_letters.TOO_LARGE in found.headers:
            first = await reading.at(self._connection, EVENTS, letter.seq)
            if first is None:
                raise Permanent(f"the body of dead letter {letter.id} is not kept any more")
            body = first.body
        headers = kept | {
            "Nats-Expected-Stream": EVENTS,
            MESSAGE_ID: f"retry-{letter.message_id or letter.id}",
            LETTER: str(letter.id),
        }
        subject = subjects.retry(letter.service, letter.subject)
        ack = await self._connection.publish(subject, body, headers=headers)
        fate = Fate(what="retried", at=now, seq=ack.seq)
        await self._note(letter, fate)
        return fate

    async def drop(self, letters: Iterable[DeadLetter], now: datetime) -> None:
        """Note them as dropped, and purge what nothing kept stands before on its subject.

        A purge takes the oldest of a subject, so a letter behind one that is kept stays stored
        until that one goes, too; it is not listed any more.
        """
        dropped = list(letters)
        for letter in dropped:
            await self._note(letter, Fate(what="dropped", at=now))
        for subject in sorted({f"dead.{letter.service}.{letter.subject}" for letter in dropped}):
            await self._purge(subject)

    async def _purge(self, subject: str) -> None:
        """Take out the oldest of this subject, up to the first that was not dropped."""
        asked: dict[str, Any] = {"seq": 1, "next_by_subj": subject, "batch": _AT_ONCE}
        up_to = 0
        while some := await reading.batch(self._connection, DEAD_LETTERS, asked):
            for stored in some:
                fate = await self.fate(read(stored))
                if fate is None or fate.what != "dropped":
                    await self._purge_before(subject, stored.seq)
                    return
            up_to = asked["seq"] = some[-1].seq + 1
        await self._purge_before(subject, up_to)

    async def _purge_before(self, subject: str, seq: int) -> None:
        if seq > 1:  # 0 would mean all of them
            asked = {"filter": subject, "seq": seq}
            await self._connection.api(f"STREAM.PURGE.{DEAD_LETTERS}", asked)

    async def _note(self, letter: DeadLetter, fate: Fate) -> None:
        key, value = _key(letter), msgspec.json.encode(fate)
        if await self._fates.create(key, value, ttl=_KEPT) is not None:
            return
        entry = await self._fates.get(key)
        if entry is not None:
            await self._fates.update(key, value, entry.revision, ttl=_KEPT)


def _original_headers(headers: dict[str, str]) -> dict[str, str]:
    ours = ("Nats-", "gca-dead-")
    return {name: value for name, value in headers.items() if not name.startswith(ours)}


def _key(letter: DeadLetter) -> str:
    # With the time, because places begin anew in a stream that was made anew.
    return f"letter.{letter.id}.{int(letter.time.timestamp())}"


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
