"""Artifacts that no event names: what a killed writer left, and what outlived its event.

Used by the sweeper. An event follows its artifact within moments, so it is looked for there first;
the whole log since then is read only for those not found, which are few.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from libs.common.jetstream import reading
from libs.common.jetstream.answers import NO_MESSAGE, Refused
from libs.common.jetstream.artifacts import Artifacts, Put
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.topology import ARTIFACTS, DEAD_LETTERS, EVENTS

LOGS = (EVENTS, DEAD_LETTERS)
"""Where artifacts are named: dead letters are whole copies."""
SOON = timedelta(minutes=5)


class UnnamedArtifacts:
    """Raises `Temporary` (peer `nats`). Ages are by the server's clock alone.

    `soon` is how near to its artifact an event is looked for first.
    """

    def __init__(self, connection: Connection, *, soon: timedelta = SOON) -> None:
        self._connection = connection
        self._artifacts = Artifacts(connection)
        self._stream = f"OBJ_{ARTIFACTS}"
        self._soon = soon
        self._named: dict[str, tuple[str, int]] = {}
        """Stream and sequence of an event that named it when we looked last."""

    async def remove(self, age: timedelta) -> int:
        """Remove artifacts older than `age` that nothing names, and pieces of none; how many."""
        answer = await self._connection.read(f"STREAM.INFO.{self._stream}")
        before = reading.read_time(str(answer["ts"])) - age
        puts = await self._artifacts.all()
        unnamed = await self._unnamed([put for put in puts if put.at < before])
        for put in unnamed:
            await self._artifacts.remove(put)
        return len(unnamed) + await self._remove_pieces(before)

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
            async for stored in reading.scan(self._connection, stream, since=since):
                for mark in [mark for mark in wanted if mark in stored.body]:
                    self._named[wanted.pop(mark)] = (stream, stored.seq)
                if not wanted or (until is not None and stored.time > until):
                    break

    async def _remove_pieces(self, before: datetime) -> int:
        """Pieces whose artifact was never finished, or replaced by a newer put."""
        names = await reading.subjects(
            self._connection, self._stream, [self._artifacts.pieces(">")]
        )
        # Read after the names: what is being put now has its name by then, or is young.
        wanted = {self._artifacts.pieces(put.nuid) for put in await self._artifacts.all()}
        removed = 0
        for subject in sorted(names - wanted):
            found = await reading.last(self._connection, self._stream, subject)
            if found is not None and found.time < before:
                await self._artifacts.purge(subject)
                removed += 1
        return removed
