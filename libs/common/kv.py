"""A bucket of small keys with revisions, as a port; `libs.common.jetstream.kv` is the real one.

Used by leases, task slots, watermarks and the `reviewed.*` and intent records of the publisher.
"""

from __future__ import annotations

from typing import Protocol

import msgspec


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """The value of a key; `revision` grows with every write to the bucket (a fencing token)."""

    value: bytes
    revision: int


class KeyValue(Protocol):
    """Keys of letters, digits and `-_/=.`; every call may raise `Temporary` (peer `nats`).

    `ttl` is in whole seconds, counted by the server from this very write, at least 1; None keeps
    the key for ever. A write replaces the ttl too: an update without one makes the key immortal.
    None as the answer of a write means somebody else was first; read and decide again.
    After `Temporary` the write may have happened all the same.
    """

    async def get(self, key: str) -> Entry | None: ...

    async def create(self, key: str, value: bytes, *, ttl: int | None = None) -> int | None:
        """Write a key that does not exist; the new revision, or None when it exists."""
        ...

    async def update(
        self, key: str, value: bytes, revision: int, *, ttl: int | None = None
    ) -> int | None:
        """Write a key whose revision is still `revision`; the new one, or None when it moved."""
        ...

    async def delete(self, key: str, revision: int | None = None) -> bool:
        """Remove the key, if still at `revision` when one is given; False when it moved."""
        ...

    async def keys(self) -> list[str]:
        """All keys that exist, sorted."""
        ...
