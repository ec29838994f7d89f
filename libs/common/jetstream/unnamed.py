"""Artifacts that no event names: what a killed writer left, and what outlived its event.

Used by the sweeper. An event follows its artifact within moments, so it is looked for there first;
the whole log since then is read only for those not found, which are few.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from libs.common.jetstream import reading
from libs.common.jetstream.answers import NO_MESSAGE, Refused
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.reading import Stored
from libs.common.jetstream.topology import ARTIFACTS, DEAD_LETTERS, EVENTS

LOGS = (EVENTS, DEAD_LETTERS)
"""Where artifacts are named: dead letters are whole copies."""
SOON = timedelta(minutes=5)
_AT_ONCE = 256


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact in the store; `nuid` names its pieces, `at` is the server's time."""

    name: str
    nuid: str
    subject: str
    at: datetime


class UnnamedArtifacts:
    """Raises `Temporary` (peer `nats`). Ages are by the server's clock alone.

    `soon` is how near to its artifact an event is looked for first.
    """

    def __init__(self, connection: Connection, *, soon: timedelta = SOON) -> None:
        self._connection = connection
        self._store = ARTIFACTS
        self._stream = f"OBJ_{ARTIFACTS}"
        self._soon = soon
        self._named: dict[str, tuple[str, int]] = {}
        """Stream and sequence of an event that named it when we looked last."""

    async def remove(self, age: timedelta) -> int:
        """Remove artifacts older than `age` that nothing names, and pieces of none; how many."""
        answer = await self._connection.read(f"STREAM.INFO.{self._stream}")
        before = reading.read_time(str(answer["ts"])) - age
        puts = await self._puts()
        unnamed = await self._unnamed([put for put in puts if put.at < before])
        for put in unnamed:
            # The name first: without pieces it would be a broken promise.
            await self._purge(put.subject)
            await self._purge(self._pieces(put.nuid))
        return len(unnamed) + await self._remove_pieces(before)

    async def _puts(self) -> list[Put]:
        asked = f"$O.{self._store}.M.>"
        found = await reading.last_per_subject(self._connection, self._stream, [asked])
        return [put for stored in found if (put := _put(stored))]

    async def _unnamed(self, old: list[Put]) -> list[Put]:
        self._named = {
            put.name: where for put in old if (where := self._named.get(put.name)) is not None
        }
        unknown = [put for put in old if not await self._is_still_named(put)]
        for put in unknown:
            await self._look([put], put.at - self._soon, put.at + self._soon)
        left = [put for put in unknown if put.name not in self._named]
        if left:
            await self._look(left, min(put.at for put in left) - self._soon, None)
        return [put for put in left if put.name not in self._named]

    async def _is_still_named(self, put: Put) -> bool:
        where = self._named.pop(put.name, None)
        if where is None:
            return False
        stream, seq = where
        try:
            await self._connection.read(f"STREAM.MSG.GET.{stream}", {"seq": seq})
        except Refused as error:
            if error.number != NO_MESSAGE:
                raise
            return False
        self._named[put.name] = where
        return True

    async def _look(self, puts: list[Put], since: datetime, until: datetime | None) -> None:
        """Remember who names these, in any log, from `since` on."""
        wanted = {put.name.encode(): put.name for put in puts}
        for stream in LOGS:
            async for stored in self._scan(stream, since):
                for mark in [mark for mark in wanted if mark in stored.body]:
                    self._named[wanted.pop(mark)] = (stream, stored.seq)
                if not wanted or (until is not None and stored.time > until):
                    break

    async def _scan(self, stream: str, since: datetime) -> AsyncIterator[Stored]:
        asked: dict[str, Any] = {"start_time": since.isoformat()}
        while True:
            asked |= {"next_by_subj": ">", "batch": _AT_ONCE}
            some = await reading.batch(self._connection, stream, asked)
            for stored in some:
                yield stored
            if not some:
                return
            asked = {"seq": some[-1].seq + 1}

    async def _remove_pieces(self, before: datetime) -> int:
        """Pieces whose artifact was never finished, or replaced by a newer put."""
        names = await reading.subjects(self._connection, self._stream, [f"{self._pieces('')}>"])
        # Read after the names: what is being put now has its name by then, or is young.
        wanted = {self._pieces(put.nuid) for put in await self._puts()}
        removed = 0
        for subject in sorted(names - wanted):
            found = await reading.last(self._connection, self._stream, subject)
            if found is not None and found.time < before:
                await self._purge(subject)
                removed += 1
        return removed

    async def _purge(self, subject: str) -> None:
        await self._connection.read(f"STREAM.PURGE.{self._stream}", {"filter": subject})

    def _pieces(self, nuid: str) -> str:
        return f"$O.{self._store}.C.{nuid}"


def _put(stored: Stored) -> Put | None:
    try:
        meta = msgspec.json.decode(stored.body, type=dict[str, Any])
    except msgspec.MsgspecError:
        return None
    if meta.get("deleted") or not meta.get("name") or not meta.get("nuid"):
        return None
    return Put(
        name=str(meta["name"]), nuid=str(meta["nuid"]), subject=stored.subject, at=stored.time
    )
