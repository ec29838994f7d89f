"""The event log as a service sees it that serves before NATS is there: 503 until then.

Built by `wiring`; used by the webhook, the task door and the fill loop alike.
"""

from __future__ import annotations

from typing import Protocol

from libs.common.errors import Temporary
from libs.common.events.envelope import NewEvent, Recorded
from libs.common.events.log import Appended, Created


class Log(Protocol):
    """The calls of the event log that ingest makes."""

    async def append(self, new: NewEvent) -> Appended: ...

    async def create(self, new: NewEvent) -> Created: ...

    async def last(self, subject: str) -> Recorded | None: ...

    async def fill(self) -> float: ...


class LateLog:
    """Passes on to the log given to `arrived`; raises `Temporary` before that."""

    def __init__(self) -> None:
        self._log: Log | None = None

    def arrived(self, log: Log) -> None:
        self._log = log

    async def append(self, new: NewEvent) -> Appended:
        return await self._there().append(new)

    async def create(self, new: NewEvent) -> Created:
        return await self._there().create(new)

    async def last(self, subject: str) -> Recorded | None:
        return await self._there().last(subject)

    async def fill(self) -> float:
        return await self._there().fill()

    def _there(self) -> Log:
        if self._log is None:
            raise Temporary("not connected to NATS yet (NATS_URL)", peer="nats")
        return self._log
