"""The event log as a port; `libs.common.jetstream.log` is the real one, `tests.fakes` has another.

Used by handlers, reconcilers, the task door and `gca events`.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from libs.common.events.envelope import NewEvent, Recorded


class Appended(msgspec.Struct, frozen=True, kw_only=True):
    """Where an event landed; `duplicate` when the log already had its message id."""

    seq: int
    duplicate: bool = False


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """`first` when ours became the record of its subject; else `record` is theirs."""

    first: bool
    record: Recorded


class EventLog(Protocol):
    """Appends and reads events; every call may raise `Temporary` (peer `nats`)."""

    async def append(self, new: NewEvent) -> Appended: ...

    async def create(self, new: NewEvent) -> Created:
        """Append only as the first event ever of this exact subject."""
        ...

    async def history(self, *filters: str) -> list[Recorded]:
        """The last event of each subject that matches any filter, oldest first."""
        ...

    async def last(self, subject: str) -> Recorded | None: ...

    async def subjects(self, *filters: str) -> set[str]:
        """Names of the subjects in the log that match, without their events."""
        ...
