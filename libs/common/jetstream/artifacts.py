"""Large texts outside the log: put once under a name that holds their digest, read with a check.

Used by the event log for bodies that are too large for one message. The layout is that of a nats
object store (nats-architecture ADR-20), so that nats tools can read it; the reader is our own,
because the client's polls for flow control and takes half a second for 10 MB.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from libs.common.errors import Permanent
from libs.common.events.tasks import Artifact
from libs.common.jetstream import reading
from libs.common.jetstream.answers import away
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.topology import ARTIFACTS

_CHUNK = 900 * 1024
REUSED = timedelta(hours=12)
"""Older ones are put anew, so that nobody removes one that is about to be named again."""


def digest_of(body: bytes) -> str:
    return f"SHA-256={base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode()}"


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact in the store; `nuid` names its pieces, `at` is the server's time."""

    name: str
    nuid: str
    subject: str
    at: datetime


class Artifacts:
    """The object store of large bodies; raises `Temporary` (peer `nats`), `Permanent`."""

    def __init__(self, connection: Connection, store: str = ARTIFACTS) -> None:
        self._connection = connection
        self._store = store
        self._stream = f"OBJ_{store}"

    async def put(self, name: str, body: bytes) -> Artifact:
        """Keep `body`; the same body under the same name again is a no-op.

        The name gets the digest as a suffix: two bodies under one name never replace each other
        under a reader.
        """
        digest = digest_of(body)
        kept = Artifact(artifact=f"{name}.{digest[8:24]}", size=len(body), digest=digest)
        found = await self._meta(kept.artifact)
        if found is None or found.get("digest") != digest or not _is_fresh(found):
            await self._write(kept, body)
        return kept

    async def get(self, wanted: Artifact) -> bytes:
        """The body; `Permanent` when it is gone or is not what was put."""
        meta = await self._meta(wanted.artifact)
        if meta is None:
            raise Permanent(f"the artifact {wanted.artifact} is gone: it outlived its time")
        asked = {"next_by_subj": self.pieces(str(meta["nuid"])), "seq": 1, "batch": 10_000}
        found = await reading.pages(self._connection, self._stream, asked)
        body = b"".join(chunk.body for chunk in found)
        if len(found) < int(meta["chunks"]):
            # A replica that answers a direct get may be behind for a moment.
            raise away(f"the artifact {wanted.artifact} is not complete yet", delay=2)
        if len(body) != wanted.size or digest_of(body) != wanted.digest:
            raise Permanent(f"the artifact {wanted.artifact} is not what was put there")
        return body

    async def all(self) -> list[Put]:
        """Everything in the store, without the bodies."""
        asked = f"$O.{self._store}.M.>"
        found = await reading.last_per_subject(self._connection, self._stream, [asked])
        return [put for stored in found if (put := _put(stored))]

    async def remove(self, put: Put) -> None:
        # The name first: without pieces it would be a broken promise.
        await self.purge(put.subject)
        await self.purge(self.pieces(put.nuid))

    async def purge(self, subject: str) -> None:
        await self._connection.read(f"STREAM.PURGE.{self._stream}", {"filter": subject})

    async def _write(self, kept: Artifact, body: bytes) -> None:
        # New for every put, so that two writers never mix; what a killed put left goes by its ttl.
        nuid = uuid.uuid4().hex
        parts = [body[start : start + _CHUNK] for start in range(0, len(body), _CHUNK)]
        for part in parts:
            await self._connection.publish(self.pieces(nuid), part)
        await self._connection.publish(
            self._meta_subject(kept.artifact),
            msgspec.json.encode(_meta(kept, self._store, nuid, len(parts))),
            headers={"Nats-Rollup": "sub"},
        )

    async def _meta(self, name: str) -> dict[str, Any] | None:
        found = await reading.last(self._connection, self._stream, self._meta_subject(name))
        if found is None:
            return None
        try:
            meta: dict[str, Any] = msgspec.json.decode(found.body, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise Permanent(f"the artifact {name} has an unreadable description") from error
        return None if meta.get("deleted") else meta

    def _meta_subject(self, name: str) -> str:
        return f"$O.{self._store}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"

    def pieces(self, nuid: str) -> str:
        """The subject of an artifact's pieces."""
        return f"$O.{self._store}.C.{nuid}"


def _is_fresh(found: dict[str, Any]) -> bool:
    try:
        return abs(datetime.now(UTC) - datetime.fromisoformat(found["mtime"])) < REUSED
    except (KeyError, TypeError, ValueError):
        return False


def _meta(kept: Artifact, store: str, nuid: str, chunks: int) -> dict[str, Any]:
    return {
        "name": kept.artifact,
        "bucket": store,
        "nuid": nuid,
        "size": kept.size,
        "chunks": chunks,
        "digest": kept.digest,
        "mtime": datetime.now(UTC).isoformat(),
        "options": {"max_chunk_size": _CHUNK},
    }


def _put(stored: reading.Stored) -> Put | None:
    try:
        meta = msgspec.json.decode(stored.body, type=dict[str, Any])
    except msgspec.MsgspecError:
        return None
    if meta.get("deleted") or not meta.get("name") or not meta.get("nuid"):
        return None
    return Put(
        name=str(meta["name"]), nuid=str(meta["nuid"]), subject=stored.subject, at=stored.time
    )
