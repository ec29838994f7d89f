"""How often a message's handler was started without ending in order: by bugs, or deaths.

The server's count of deliveries says nothing about that: it counts an outage of two hours, messages
that died with their connection, and others that nobody began. And a message that its handler once
survived kills nobody, so that services which are killed now and then, by whatever else, make no
poison of what they had in hand. Used by the consumer loop only.
"""

from __future__ import annotations

from datetime import timedelta

from libs.common.kv import Entry, KeyValue

_ATTEMPTS = 3


class Starts:
    """Per message of one durable, the starts since the last orderly end; kept in a bucket.

    The bucket and not memory, because it must survive the death that it counts. The first delivery
    of a message writes nothing: nearly all messages have no other.
    """

    def __init__(self, keys: KeyValue, durable: str, give_up_after: timedelta) -> None:
        self._keys = keys
        self._durable = durable
        self._ttl = int(give_up_after.total_seconds()) + 3600

    async def before(self, seq: int, delivered: int) -> int:
        """Starts before the delivery of this number that did not end in order."""
        if delivered == 1:
            return 0
        found = await self._keys.get(self._key(seq))
        return 1 if found is None else _number(found)

    async def begin(self, seq: int, delivered: int, before: int) -> None:
        """Count this one; to be called before the handler is."""
        if delivered > 1:
            await self._write(seq, before + 1)

    async def forgive(self, seq: int) -> None:
        """The handler gave the message back on purpose: it may count from nothing again."""
        await self._write(seq, 0)

    async def _write(self, seq: int, number: int) -> None:
        key, value = self._key(seq), str(number).encode()
        for _ in range(_ATTEMPTS):
            found = await self._keys.get(key)
            if found is not None and _number(found) == number:
                return
            if found is None:
                written = await self._keys.create(key, value, ttl=self._ttl)
            else:
                written = await self._keys.update(key, value, found.revision, ttl=self._ttl)
            if written is not None:
                return

    def _key(self, seq: int) -> str:
        return f"starts.{self._durable}.{seq}"


def _number(entry: Entry) -> int:
    return int(entry.value)
