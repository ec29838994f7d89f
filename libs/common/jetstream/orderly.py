"""Which delivery of a message last ended in order, so that only bugs and deaths since then count.

The server counts every delivery alike: an outage of two hours would look like a message that
kills its handler. And a message that its handler survived kills nobody: services that are killed
now and then, by whatever else, make no poison of what they had in hand. Used by the consumer loop
only.
"""

from __future__ import annotations

from datetime import timedelta

from libs.common.kv import Entry, KeyValue

_ATTEMPTS = 3


class OrderlyCounts:
    """Per message of one durable, the last delivery that was given back on purpose; in a bucket.

    The bucket and not memory, because it must survive the restart in the middle of an outage.
    """

    def __init__(self, keys: KeyValue, durable: str, give_up_after: timedelta) -> None:
        self._keys = keys
        self._durable = durable
        self._ttl = int(give_up_after.total_seconds()) + 3600

    async def last(self, seq: int) -> int:
        """The number of that delivery, from 1; 0 when there was none."""
        return _number(await self._keys.get(self._key(seq)))

    async def note(self, seq: int, delivered: int) -> None:
        """The delivery of this number ended in order."""
        key, value = self._key(seq), str(delivered).encode()
        for _ in range(_ATTEMPTS):
            found = await self._keys.get(key)
            if _number(found) >= delivered:
                return
            if found is None:
                written = await self._keys.create(key, value, ttl=self._ttl)
            else:
                written = await self._keys.update(key, value, found.revision, ttl=self._ttl)
            if written is not None:
                return

    def _key(self, seq: int) -> str:
        return f"orderly.{self._durable}.{seq}"


def _number(entry: Entry | None) -> int:
    return int(entry.value) if entry is not None else 0
