"""When each project last got a task started, kept in `DEDUP` for all replicas and services.

Read by the reconciler when several projects wait, written by its effects at each start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime

import msgspec

from libs.common.kv import KeyValue

TTL = 24 * 3600
"""Whoever waits longer than this for a second start is first anyway."""


class Turns:
    """Last starts by project_id; every call may raise `Temporary`."""

    def __init__(self, kv: KeyValue) -> None:
        self._kv = kv

    async def of(self, projects: Iterable[int]) -> dict[int, datetime]:
        """Of those projects that had one within `TTL` seconds."""
        wanted = sorted(set(projects))
        entries = await asyncio.gather(*(self._kv.get(_key(project)) for project in wanted))
        return {
            project: msgspec.json.decode(entry.value, type=datetime)
            for project, entry in zip(wanted, entries, strict=True)
            if entry is not None
        }

    async def took(self, project: int, now: datetime) -> None:
        """The project had its turn; whoever writes at the same time says the same."""
        key, value = _key(project), msgspec.json.encode(now)
        if await self._kv.create(key, value, ttl=TTL) is not None:
            return
        entry = await self._kv.get(key)
        if entry is not None:
            await self._kv.update(key, value, entry.revision, ttl=TTL)


def _key(project: int) -> str:
    return f"turn.{project}"
