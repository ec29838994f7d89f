"""How far the poller knows GitLab, kept in the bucket `WATERMARKS`: never backwards by itself.

Called by `poller`, which reads it before and writes it after each look, so that whoever polls next
goes on from there.
"""

from __future__ import annotations

import hashlib

import msgspec
import structlog

from libs.common.errors import Temporary
from libs.common.gitlab.changed import Where
from libs.common.kv import KeyValue
from services.ingest.polling import Mark

log = structlog.get_logger()
MOST_TRIES = 5


class Watermarks:
    """One mark for each place; every call may raise `Temporary` (peer `nats`)."""

    def __init__(self, keys: KeyValue) -> None:
        self._keys = keys

    async def read(self, where: Where) -> Mark | None:
        entry = await self._keys.get(key(where))
        return _mark(entry.value) if entry is not None else None

    async def advance(self, where: Where, mark: Mark) -> None:
        """Keep the later of this and what is there; another replica may have gone further."""
        for _ in range(MOST_TRIES):
            entry = await self._keys.get(key(where))
            there = _mark(entry.value) if entry is not None else None
            wanted = mark.later(there) if there is not None else mark
            revision = entry.revision if entry is not None else None
            if wanted == there or await self._written(where, wanted, revision):
                return
        raise Temporary("somebody else writes the watermarks of GitLab all the time")

    async def correct(self, where: Where, wrong: Mark, right: Mark) -> None:
        """Set back a mark that is from the future, unless another replica has done so."""
        entry = await self._keys.get(key(where))
        if entry is not None and _mark(entry.value) == wrong:
            await self._written(where, right, entry.revision)

    async def _written(self, where: Where, mark: Mark, revision: int | None) -> bool:
        value = msgspec.json.encode(mark)
        if revision is None:
            return await self._keys.create(key(where), value) is not None
        return await self._keys.update(key(where), value, revision) is not None


def key(where: Where) -> str:
    """A key for any path; the digest tells paths apart that differ only in strange letters."""
    name = str(where).lower()
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
    return f"gitlab.{plain[:60]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _mark(value: bytes) -> Mark | None:
    try:
        return msgspec.json.decode(value, type=Mark)
    except msgspec.MsgspecError:
        log.warning("a watermark cannot be read and is made again")
        return None
