"""How often a task's Job was tried to launch, counted in `DEDUP` before each attempt.

Used by the reconciler. The count is also the fence between replicas: whoever moves it from what
was seen may launch, the others look again.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from libs.common.kv import KeyValue
from libs.common.launching.turns import Turns

TTL = 31 * 24 * 3600
"""A day longer than the log keeps the task."""


class Attempts(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts so far and when the last began; `revision` is what the next one is set against."""

    count: int = 0
    at: datetime | None = None
    revision: int | None = None


class Launches:
    """Launch counts by Job name, and `turns` by project; every call may raise `Temporary`."""

    def __init__(self, kv: KeyValue) -> None:
        self._kv = kv
        self.turns = Turns(kv)

    async def get(self, job_name: str) -> Attempts:
        entry = await self._kv.get(_key(job_name))
        if entry is None:
            return Attempts()
        counted = msgspec.json.decode(entry.value, type=Attempts)
        return msgspec.structs.replace(counted, revision=entry.revision)

    async def add(self, job_name: str, seen: Attempts, now: datetime) -> Attempts | None:
        """One more attempt than `seen`; None when somebody else counted meanwhile."""
        return await self._put(job_name, Attempts(count=seen.count + 1, at=now), seen.revision)

    async def take_back(self, job_name: str, mine: Attempts, seen: Attempts) -> None:
        """Undo `add`, for an attempt that the launcher refused; left alone when it moved on."""
        await self._put(job_name, Attempts(count=seen.count, at=seen.at), mine.revision)

    async def _put(self, job_name: str, attempts: Attempts, seen: int | None) -> Attempts | None:
        key, value = _key(job_name), msgspec.json.encode(attempts)
        if seen is None:
            revision = await self._kv.create(key, value, ttl=TTL)
        else:
            revision = await self._kv.update(key, value, seen, ttl=TTL)
        if revision is None:
            return None
        return msgspec.structs.replace(attempts, revision=revision)


def _key(job_name: str) -> str:
    return f"launches.{job_name}"
