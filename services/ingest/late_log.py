"""The event log as a service sees it that serves before NATS is there: 503 until then.

Built by `wiring`; used by the webhook, the task door, the fill loop and the poller alike.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from libs.common.errors import Temporary
from libs.common.events.envelope import NewEvent, Recorded
from libs.common.events.log import Appended, Created
from libs.common.events.tasks import Artifact

T = TypeVar("T")


class Log(Protocol):
    """The calls of the event log that ingest makes."""

    async def append(self, new: NewEvent) -> Appended: ...

    async def create(self, new: NewEvent) -> Created: ...

    async def last(self, subject: str) -> Recorded | None: ...

    async def fill(self) -> float: ...


class Artifacts(Protocol):
    """The call of the object store that ingest makes."""

    async def put(self, name: str, body: bytes) -> Artifact: ...


class LateLog:
    """Passes on to what was given to `arrived`; raises `Temporary` before that."""

    def __init__(self) -> None:
        self._log: Log | None = None
        self._artifacts: Artifacts | None = None

    def arrived(self, log: Log, artifacts: Artifacts) -> None:
        self._log, self._artifacts = log, artifacts

    async def append(self, new: NewEvent) -> Appended:
        return await _there(self._log).append(new)

    async def create(self, new: NewEvent) -> Created:
        return await _there(self._log).create(new)

    async def last(self, subject: str) -> Recorded | None:
        return await _there(self._log).last(subject)

    async def fill(self) -> float:
        return await _there(self._log).fill()

    async def put(self, name: str, body: bytes) -> Artifact:
        """Keep a large body in the object store."""
        return await _there(self._artifacts).put(name, body)


def _there(found: T | None) -> T:
    if found is None:
        raise Temporary("not connected to NATS yet (NATS_URL)", peer="nats")
    return found
