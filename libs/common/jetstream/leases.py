"""Leases: at most one holder of a name at a time, as far as clocks and pauses allow.

Used by pollers and the publisher (`async with leases.held(...)`), and by task slots that outlive
a process (`renew` and `release` by owner). A lease excludes; it does not order. Whoever writes
under one calls `check()` (or asks `valid()`) just before: a paused process wakes up in the middle
of its work, and the end of the block comes only with its next wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from types import TracebackType
from typing import NamedTuple, Self

import structlog

from libs.common.clock import Clock
from libs.common.errors import AgentError, Temporary
from libs.common.kv import KeyValue

DEFAULT_TTL = 30
"""Seconds; a change of leader in NATS may stall writes for some of them."""
_MARGIN = 6
"""A holder counts its lease as over a sixth of the ttl early: clocks differ, writes take time."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_log = structlog.get_logger(__name__)


def ticks() -> float:
    """Seconds that nobody sets, counted while the process or (on Linux) the machine sleeps."""
    return time.clock_gettime(_CLOCK)


class Moment(NamedTuple):
    """A point in time by both clocks; how long ago it was is what the more cautious one says."""

    clock: datetime
    ticks: float


def new_owner() -> str:
    """A name for one holder, unique per attempt and telling where it runs."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:12]}"


class Lease:
    """A held lease. As a context manager it is renewed in the background and released at the end.

    `revision` is the fencing token of the acquisition. `lost` is set when somebody else has it,
    or when it could not be renewed in time.
    """

    def __init__(self, leases: Leases, key: str, owner: str, ttl: int) -> None:
        self.key = key
        self.owner = owner
        self.ttl = ttl
        self.revision = 0
        self.lost = asyncio.Event()
        self._leases = leases
        self._held_since = leases.moment()
        self._holds = 0.0
        self._renewing: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        self._on_lost: Callable[[], None] | None = None

    def valid(self) -> bool:
        """Whether work under the lease may still begin."""
        return not self.lost.is_set() and self._leases.since(self._held_since) < self._holds

    def check(self) -> None:
        """Raises `Temporary` when work under the lease may not begin any more."""
        if not self.valid():
            raise Temporary(f"the lease {self.key} was lost", delay=self.ttl / 3)

    async def renew(self) -> bool:
        """Prolong it; False when it is lost. `Temporary` says nothing about it yet."""
        started = self._leases.moment()
        if await self._leases.renew(self.key, self.owner, ttl=self.ttl):
            self.prolonged(started)
        else:
            self.lost.set()
        return not self.lost.is_set()

    def prolonged(self, started: Moment) -> None:
        """The server counts from its write, so counting from before it was sent is safe."""
        self._held_since, self._holds = started, self.ttl - self.ttl / _MARGIN

    def when_lost(self, call: Callable[[], None] | None) -> None:
        """What to call when it is noticed in the background that the lease is lost."""
        self._on_lost = call

    async def release(self) -> None:
        """Give it up; one that is lost already is left to its new holder."""
        await self._leases.release(self.key, self.owner)

    async def __aenter__(self) -> Self:
        self._renewing = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        if self._renewing is not None:
            # A renewal that is on its way would come between the release's read and its write.
            await asyncio.gather(self._renewing, return_exceptions=True)
        try:
            await self.release()
        except AgentError as reason:
            _log.warning(
                "a lease was not released", key=self.key, free_in=self.ttl, reason=str(reason)
            )

    async def _keep(self) -> None:
        while not self.lost.is_set():
            if await self._ends_within(self.ttl / 3 * random.uniform(0.8, 1.0)):  # noqa: S311  # jitter
                return
            try:
                await self.renew()
            except AgentError as error:
                # One failed renewal is no loss, the deadline is.
                _log.warning("a lease was not renewed", key=self.key, reason=str(error))
                if not self.valid():
                    self.lost.set()
        _log.warning("a lease was lost", key=self.key)
        if self._on_lost is not None:
            self._on_lost()

    async def _ends_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._ending.wait()
        return False


class Leases:
    """Leases kept in one bucket; all calls raise `Temporary` (peer `nats`) while it is away."""

    def __init__(self, keys: KeyValue, clock: Clock, ticks: Callable[[], float] = ticks) -> None:
        self._keys = keys
        self._clock = clock
        self._ticks = ticks

    def moment(self) -> Moment:
        return Moment(self._clock.now(), self._ticks())

    def since(self, moment: Moment) -> float:
        """Seconds since then: a clock that was set back, or stood still, makes it no shorter."""
        now = self.moment()
        return max((now.clock - moment.clock).total_seconds(), now.ticks - moment.ticks)

    async def acquire(self, key: str, owner: str, *, ttl: int = DEFAULT_TTL) -> Lease | None:
        """The lease, or None while another owner has it; an owner that has it gets it again."""
        lease = Lease(self, key, owner, ttl)
        started = self.moment()
        revision = await self._create(key, owner, ttl)
        if revision is None:
            if not await self.renew(key, owner, ttl=ttl):
                return None
            entry = await self._keys.get(key)
            revision = entry.revision if entry else 0
        lease.revision = revision
        lease.prolonged(started)
        return lease

    @contextlib.asynccontextmanager
    async def held(
        self, key: str, *, ttl: int = DEFAULT_TTL, wait: float = 0.0
    ) -> AsyncIterator[Lease]:
        """A renewed lease for the block; `Temporary` when it is not free within `wait` seconds.

        Also when it is lost: the block is cancelled at its next wait.
        """
        owner, began = new_owner(), self.moment()
        while (lease := await self.acquire(key, owner, ttl=ttl)) is None:
            if self.since(began) >= wait:
                raise Temporary(f"somebody else is at {key}", delay=ttl / 3)
            pause = min(ttl / 3, max(wait, 0.1), 1.0)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # jitter
        async with lease:
            try:
                async with asyncio.timeout(None) as end:
                    lease.when_lost(lambda: end.reschedule(0))
                    yield lease
            except TimeoutError:
                if not end.expired():
                    raise
                raise Temporary(f"the lease {key} was lost", delay=ttl / 3) from None
            finally:
                lease.when_lost(None)

    async def renew(self, key: str, owner: str, *, ttl: int = DEFAULT_TTL) -> bool:
        """Prolong what `owner` holds; False when it does not hold it (any more)."""
        entry = await self._keys.get(key)
        if entry is None or entry.value != owner.encode():
            return False
        return await self._keys.update(key, owner.encode(), entry.revision, ttl=ttl) is not None

    async def release(self, key: str, owner: str) -> bool:
        """Free what `owner` holds; False when it does not hold it (any more)."""
        entry = await self._keys.get(key)
        if entry is None or entry.value != owner.encode():
            return False
        return await self._keys.delete(key, entry.revision)

    async def _create(self, key: str, owner: str, ttl: int) -> int | None:
        try:
            return await self._keys.create(key, owner.encode(), ttl=ttl)
        except Temporary:
            # The answer may be what was lost, not the write.
            entry = await self._keys.get(key)
            if entry is None or entry.value != owner.encode():
                raise
            return entry.revision
