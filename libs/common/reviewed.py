"""Which heads of a merge request were reviewed, kept beyond the life of the log.

Written by the publisher once a review is posted, read by the reviewer. KV bucket `DEDUP`, key
`reviewed.<project_id>.<iid>`, without TTL.
"""

from __future__ import annotations

import msgspec

from libs.common.errors import Temporary
from libs.common.kv import KeyValue

MOST_KEPT = 50
"""Heads remembered per merge request, newest last."""
_TRIES = 5


class Reviewed:
    """The reviewed heads of merge requests, each as `<head_sha> <target_branch>`."""

    def __init__(self, kv: KeyValue) -> None:
        self._kv = kv

    async def of(self, project_id: int, iid: int) -> frozenset[str]:
        entry = await self._kv.get(_key(project_id, iid))
        return frozenset(_heads(entry.value)) if entry else frozenset()

    async def add(self, project_id: int, iid: int, head_sha: str, target_branch: str) -> None:
        """Remember a head; a second time changes nothing. Raises `Temporary` when it loses out."""
        head = reviewed_key(head_sha, target_branch)
        key = _key(project_id, iid)
        for _ in range(_TRIES):
            entry = await self._kv.get(key)
            heads = _heads(entry.value) if entry else []
            if head in heads:
                return
            value = msgspec.json.encode([*heads, head][-MOST_KEPT:])
            if entry is None:
                done = await self._kv.create(key, value)
            else:
                done = await self._kv.update(key, value, entry.revision)
            if done is not None:
                return
        raise Temporary("others keep writing the list of reviewed heads", delay=1)


def reviewed_key(head_sha: str, target_branch: str) -> str:
    """What was reviewed: another target branch is another diff of the same head."""
    return f"{head_sha} {target_branch}"


def _key(project_id: int, iid: int) -> str:
    return f"reviewed.{project_id}.{iid}"


def _heads(value: bytes) -> list[str]:
    return msgspec.json.decode(value, type=list[str])
