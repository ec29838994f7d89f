"""Leases: at most one holder of a name at a time, as far as clocks and pauses allow.

Used by pollers and the publisher (`async with leases.held(...)`), and by task slots that outlive
a process (`renew` and `release` by owner). A lease excludes; it does not order. Whoever writes
under one checks `valid()` just before, because a paused process does not notice the expiry.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

import structlog

from libs.common.clock import Clock
from libs.common.errors import Temporary
from libs.common.kv import KeyValue

DEFAULT_TTL = 30
"""Seconds; a change of leader in NATS may stall writes for some of them."""
_MARGIN = 6
"""A holder counts its lease as over a sixth of the ttl early: clocks differ, writes take time."""
_log = structlog.get_logger(__name__)


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
        self._until: datetime = leases.now()
        self._renewing: asyncio.Task[None] | None = None

    def valid(self) -> bool:
        """Whether work under the lease may still begin."""
        return not self.lost.is_set() and self._leases.now() < self._until

    async def renew(self) -> bool:
        """Prolong it; False when it is lost. `Temporary` says nothing about it yet."""
        started = self._leases.now()
        if await self._leases.renew(self.key, self.owner, ttl=self.ttl):
            self.prolonged(started)
        else:
            self.lost.set()
        return not self.lost.is_set()

    def prolonged(self, started: datetime) -> None:
        """The server counts from its write, so counting from before it was sent is safe."""
        self._until = started + timedelta(seconds=self.ttl - self.ttl / _MARGIN)

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
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        # A lease that cannot be released now runs out by itself.
        with contextlib.suppress(Temporary):
            await self.release()

    async def _keep(self) -> None:
        while not self.lost.is_set():
            await asyncio.sleep(self.ttl / 3 * random.uniform(0.8, 1.0))  # noqa: S311  # jitter
            try:
                await self.renew()
            except Temporary as error:
                # One failed renewal is no loss, the deadline is.
                _log.warning("a lease was not renewed", key=self.key, reason=str(error))
                if not self.valid():
                    self.lost.set()
        _log.warning("a lease was lost", key=self.key)


class Leases:
    """Leases kept in one bucket; all calls raise `Temporary` (peer `nats`) while it is away."""

    def __init__(self, keys: KeyValue, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now()

    async def acquire(self, key: str, owner: str, *, ttl: int = DEFAULT_TTL) -> Lease | None:
        """The lease, or None while another owner has it; an owner that has it gets it again."""
        lease = Lease(self, key, owner, ttl)
        started = self.now()
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
        """A renewed lease for the block; `Temporary` when it is not free within `wait` seconds."""
        owner = new_owner()
        give_up = self.now() + timedelta(seconds=wait)
        while (lease := await self.acquire(key, owner, ttl=ttl)) is None:
            if self.now() >= give_up:
                raise Temporary(f"somebody else is at {key}", delay=ttl / 3)
            pause = min(ttl / 3, max(wait, 0.1), 1.0)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # jitter
        async with lease:
            yield lease

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
