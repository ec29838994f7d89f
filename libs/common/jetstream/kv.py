"""Key-value buckets on JetStream, with ttls that survive an update.

Built by wiring for `DEDUP`, `LOCKS` and `WATERMARKS`; implements `libs.common.kv.KeyValue`.
Our own calls instead of the client's: its update drops the ttl, and its reads may be stale.
"""

from __future__ import annotations

import asyncio
import re

from libs.common.errors import Permanent
from libs.common.jetstream import reading
from libs.common.jetstream.answers import Refused
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.reading import Stored
from libs.common.kv import Entry

_KEY = re.compile(r"[-/_=a-zA-Z0-9]+(\.[-/_=a-zA-Z0-9]+)*")
_TOMBSTONE_TTL = 1
_AT_ONCE = 32


class JetStreamKeyValue:
    """The bucket `bucket`; reads come from the stream's leader."""

    def __init__(self, connection: Connection, bucket: str) -> None:
        self._connection = connection
        self._stream = f"KV_{bucket}"
        self._prefix = f"$KV.{bucket}."

    async def get(self, key: str) -> Entry | None:
        found = await self._read(key)
        return _entry(found) if found else None

    async def create(self, key: str, value: bytes, *, ttl: int | None = None) -> int | None:
        written = await self._write(key, value, 0, ttl)
        if written is not None:
            return written
        # A deleted key leaves a tombstone for a second; its sequence is the one to expect then.
        found = await self._read(key)
        if found is None:
            return await self._write(key, value, 0, ttl)
        return None if _entry(found) else await self._write(key, value, found.seq, ttl)

    async def update(
        self, key: str, value: bytes, revision: int, *, ttl: int | None = None
    ) -> int | None:
        return await self._write(key, value, revision, ttl)

    async def delete(self, key: str, revision: int | None = None) -> bool:
        headers = {"KV-Operation": "PURGE", "Nats-Rollup": "sub", "Nats-TTL": f"{_TOMBSTONE_TTL}s"}
        return await self._put(key, b"", headers, revision) is not None

    async def keys(self) -> list[str]:
        names = await reading.subjects(self._connection, self._stream, [f"{self._prefix}>"])
        found = sorted(name.removeprefix(self._prefix) for name in names)
        gate = asyncio.Semaphore(_AT_ONCE)

        async def exists(key: str) -> bool:
            async with gate:
                return await self.get(key) is not None

        alive = await asyncio.gather(*(exists(key) for key in found))
        return [key for key, there in zip(found, alive, strict=True) if there]

    async def _read(self, key: str) -> Stored | None:
        return await reading.last(self._connection, self._stream, self._subject(key))

    async def _write(self, key: str, value: bytes, revision: int, ttl: int | None) -> int | None:
        if ttl is not None and ttl < 1:
            raise Permanent(f"a ttl of {ttl} s is too short, the server counts whole seconds")
        return await self._put(key, value, {"Nats-TTL": f"{ttl}s"} if ttl else {}, revision)

    async def _put(
        self, key: str, value: bytes, headers: dict[str, str], revision: int | None
    ) -> int | None:
        if revision is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(revision)
        try:
            ack = await self._connection.publish(self._subject(key), value, headers=headers)
        except Refused:
            return None
        return ack.seq

    def _subject(self, key: str) -> str:
        if not _KEY.fullmatch(key):
            raise Permanent(f"{key[:80]!r} cannot be a key")
        return self._prefix + key


def _entry(found: Stored) -> Entry | None:
    gone = "KV-Operation" in found.headers or "Nats-Marker-Reason" in found.headers
    return None if gone else Entry(value=found.body, revision=found.seq)
