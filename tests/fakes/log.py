"""The event log in memory, with the duplicate window, create-once and wildcards of the real one."""

from __future__ import annotations

from datetime import timedelta

from libs.common.clock import Clock
from libs.common.errors import AgentError, Permanent
from libs.common.events.envelope import NewEvent, Recorded, encode, headers, recorded
from libs.common.events.log import Appended, Created
from libs.common.subjects import covers
from tests.fakes.clock import FakeClock

DUPLICATE_WINDOW = timedelta(hours=24)


class MemoryLog:
    """Implements `libs.common.events.log.EventLog`; `events` is all that was ever appended.

    Each error put into `fail_next` is raised by one later call, before that call does anything.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.events: list[Recorded] = []
        self.fail_next: list[AgentError] = []
        self._clock = clock or FakeClock()

    async def append(self, new: NewEvent) -> Appended:
        self._maybe_fail()
        before = self._same_message(new.message_id)
        if before:
            return Appended(seq=before.seq, duplicate=True)
        return Appended(seq=self._store(new).seq)

    async def create(self, new: NewEvent) -> Created:
        self._maybe_fail()
        theirs = self._last(new.subject)
        if theirs:
            return Created(first=False, record=theirs)
        if self._same_message(new.message_id):
            raise Permanent(f"message id {new.message_id} is already used on another subject")
        return Created(first=True, record=self._store(new))

    async def history(self, *filters: str) -> list[Recorded]:
        self._maybe_fail()
        found = {event.subject: event for event in self.events if _any(filters, event.subject)}
        return sorted(found.values(), key=lambda event: event.seq)

    async def last(self, subject: str) -> Recorded | None:
        self._maybe_fail()
        return self._last(subject)

    async def subjects(self, *filters: str) -> set[str]:
        self._maybe_fail()
        return {event.subject for event in self.events if _any(filters, event.subject)}

    def _last(self, subject: str) -> Recorded | None:
        return next((event for event in reversed(self.events) if event.subject == subject), None)

    def _same_message(self, message_id: str) -> Recorded | None:
        oldest = self._clock.now() - DUPLICATE_WINDOW
        return next(
            (
                e
                for e in self.events
                if message_id and e.message_id == message_id and e.time > oldest
            ),
            None,
        )

    def _store(self, new: NewEvent) -> Recorded:
        # Through the wire form, so that what comes out is what the real log would give back.
        body, seq = encode(new.event), len(self.events) + 1
        record = recorded(new.subject, seq, self._clock.now(), body, headers(new))
        self.events.append(record)
        return record

    def _maybe_fail(self) -> None:
        if self.fail_next:
            raise self.fail_next.pop(0)


def _any(filters: tuple[str, ...], subject: str) -> bool:
    return any(covers(pattern, subject) for pattern in filters)
