"""The ways of facts into the log, and how full the log is.

Called by `webhook` and the pollers for each event; `watch_fill` is one of the service's loops.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

import structlog

from libs.common import metrics
from libs.common.errors import AgentError, Temporary
from libs.common.events.envelope import NewEvent, Recorded
from libs.common.events.log import Appended, Created, EventLog

log = structlog.get_logger()
APPEND_SECONDS = 5.0
"""GitLab gives a hook 10 s; a 503 in time is better than a hook that counts as timed out."""
FULL = 0.85
"""Share of the log from which webhooks are turned away, so that tasks under way can still end."""
FILL_EVERY_SECONDS = 3.0


class Log(Protocol):
    """The calls of the event log that the webhook needs."""

    async def append(self, new: NewEvent) -> Appended: ...


class Fill(Protocol):
    """Tells how full the log is."""

    async def fill(self) -> float:
        """Share of the log's `max_bytes` in use; raises `Temporary` when the log is away."""
        ...


class Intake:
    """Appends with a time limit; raises `Temporary` when the log is away or too full."""

    def __init__(self, log: Log, *, patience: float = APPEND_SECONDS) -> None:
        self._log = log
        self._patience = patience
        self.share = 0.0
        """How full the log was when last asked."""
        self.away: str | None = None
        """Why the log could not say so when last asked."""

    @property
    def is_full(self) -> bool:
        return self.share >= FULL

    async def trouble(self) -> str | None:
        """Why webhooks are answered 503, as a readiness detail; None when all is well."""
        if self.is_full:
            return f"the event log is {self.share:.0%} full: raise EVENTS_MAX_BYTES"
        return self.away

    def make_sure_of_room(self) -> None:
        """Raises `Temporary` when what is left is for tasks under way."""
        if self.is_full:
            raise Temporary(f"the event log is {self.share:.0%} full", delay=60)

    async def append(self, new: NewEvent) -> Appended:
        self.make_sure_of_room()
        try:
            async with asyncio.timeout(self._patience):
                return await self._log.append(new)
        except TimeoutError:
            raise Temporary("the event log did not answer in time", peer="nats") from None


class FactLog:
    """The log as the pollers use it: what they find waits for room, like webhooks do."""

    def __init__(self, log: EventLog, intake: Intake) -> None:
        self._log = log
        self._intake = intake

    async def append(self, new: NewEvent) -> Appended:
        self._intake.make_sure_of_room()
        return await self._log.append(new)

    async def create(self, new: NewEvent) -> Created:
        self._intake.make_sure_of_room()
        return await self._log.create(new)

    async def history(self, *filters: str) -> list[Recorded]:
        return await self._log.history(*filters)


async def watch_fill(
    intake: Intake, fill: Fill, stopping: asyncio.Event, *, every: float = FILL_EVERY_SECONDS
) -> None:
    """Keep `intake.share` true until `stopping`; a log that is away keeps the last share."""
    while not stopping.is_set():
        was_full = intake.is_full
        intake.away = await _look(intake, fill)
        if intake.is_full != was_full:
            log.warning("event log full" if intake.is_full else "event log has room again")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(every):
                await stopping.wait()


async def _look(intake: Intake, fill: Fill) -> str | None:
    """Ask how full the log is; returns why it does not say."""
    try:
        async with asyncio.timeout(APPEND_SECONDS):
            intake.share = await fill.fill()
    except TimeoutError:
        return "the event log does not answer in time"
    except AgentError as error:
        return str(error)
    metrics.gauge("log_fill_ratio", round(intake.share, 6))
    return None
