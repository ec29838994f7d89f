"""The simulator's clock: real time plus what a test has skipped.

Used for every timestamp and every delay, so that a test of "60 seconds later" takes none.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta


class Clock:
    """Time in UTC; `advance` moves it forward and wakes whoever waits."""

    def __init__(self) -> None:
        self._skipped = timedelta()
        self._waiters: set[asyncio.Event] = set()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._skipped

    def advance(self, seconds: float) -> None:
        self._skipped += timedelta(seconds=seconds)
        for waiter in self._waiters:
            waiter.set()

    async def sleep_until(self, moment: datetime) -> None:
        while (left := (moment - self.now()).total_seconds()) > 0:
            woken = asyncio.Event()
            self._waiters.add(woken)
            try:
                async with asyncio.timeout(left):
                    await woken.wait()
            except TimeoutError:
                continue
            finally:
                self._waiters.discard(woken)
