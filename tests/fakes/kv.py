"""A bucket in memory with the real one's rules: revisions grow, ttl counts from each write."""

from __future__ import annotations

from datetime import datetime, timedelta

from libs.common.clock import Clock
from libs.common.errors import AgentError
from libs.common.kv import Entry
from tests.fakes.clock import FakeClock


class MemoryKeyValue:
    """Implements `libs.common.kv.KeyValue`.

    Each error put into `fail_next` is raised by one later call, before that call does anything.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.fail_next: list[AgentError] = []
        self._clock = clock or FakeClock()
        self._revision = 0
        self._entries: dict[str, tuple[Entry, datetime | None]] = {}

    async def get(self, key: str) -> Entry | None:
        self._maybe_fail()
        return self._alive(key)

    async def create(self, key: str, value: bytes, *, ttl: int | None = None) -> int | None:
        self._maybe_fail()
        return self._write(key, value, ttl) if self._alive(key) is None else None

    async def update(
        self, key: str, value: bytes, revision: int, *, ttl: int | None = None
    ) -> int | None:
        self._maybe_fail()
        found = self._alive(key)
        return self._write(key, value, ttl) if found and found.revision == revision else None

    async def delete(self, key: str, revision: int | None = None) -> bool:
        self._maybe_fail()
        found = self._alive(key)
        if revision is not None and (found is None or found.revision != revision):
            return False
        self._revision += 1
        self._entries.pop(key, None)
        return True

    async def keys(self) -> list[str]:
        self._maybe_fail()
        return sorted(key for key in list(self._entries) if self._alive(key))

    def _alive(self, key: str) -> Entry | None:
        entry, until = self._entries.get(key, (None, None))
        return None if until and until <= self._clock.now() else entry

    def _write(self, key: str, value: bytes, ttl: int | None) -> int:
        self._revision += 1
        until = self._clock.now() + timedelta(seconds=ttl) if ttl else None
        self._entries[key] = (Entry(value=value, revision=self._revision), until)
        return self._revision

    def _maybe_fail(self) -> None:
        if self.fail_next:
            raise self.fail_next.pop(0)
