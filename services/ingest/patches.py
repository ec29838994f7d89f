"""Moves a large patch out of its event into the object store, and knows it again there.

Called by `task_door` with results that fit their task.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from libs.common.events.envelope import AnyEvent, encode
from libs.common.events.tasks import Artifact, ChangesProposed
from libs.common.jetstream.artifacts import digest_of
from libs.common.jetstream.packing import INLINE
from services.ingest.task_result import Accepted


class Artifacts(Protocol):
    """The call of the object store that the task door needs."""

    async def put(self, name: str, body: bytes) -> Artifact:
        """Keep `body`; the same again is a no-op."""
        ...


def is_large(result: Accepted) -> bool:
    """Whether the event would be too large to travel with its patch inside."""
    if not isinstance(result, ChangesProposed):
        return False
    return len(result.patch) > INLINE or len(encode(result)) > INLINE


async def stored(result: Accepted, artifacts: Artifacts) -> Accepted:
    """The result as its event holds it; its patch is in the store before this returns."""
    if not isinstance(result, ChangesProposed):
        return result
    kept = await artifacts.put(f"{result.task_id}-patch", result.patch)
    return msgspec.structs.replace(result, patch=b"", stored=kept)


def is_same(result: Accepted, event: AnyEvent) -> bool:
    """Whether the event in the log says what this result, as it was handed in, says."""
    if (
        isinstance(result, ChangesProposed)
        and isinstance(event, ChangesProposed)
        and event.stored is not None
        and event.stored.size == len(result.patch)
        and event.stored.digest == digest_of(result.patch)
    ):
        result = msgspec.structs.replace(result, patch=b"", stored=event.stored)
    return encode(event) == encode(result)
