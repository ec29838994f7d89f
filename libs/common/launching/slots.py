"""Task slots: how many tasks run at once, over all services and replicas (`MAX_CONCURRENT_TASKS`).

Used by the reconciler. A slot is a key of the lease bucket whose value is the task that holds it;
whoever reconciles that task renews it, so that a slot belongs to the task and not to a process.
When nobody reconciles for `TTL` seconds, slots expire while Jobs may still run: then for a while
more tasks may run than allowed, and none is ever stuck.
"""

from __future__ import annotations

import asyncio

from libs.common.kv import Entry, KeyValue

TTL = 90
_PREFIX = "slot."
KEYS = f"{_PREFIX}*"
"""Pattern of the keys of all slots."""
_TRIES = 3


class Slots:
    """`count` slots in `kv`; every call may raise `Temporary`.

    `held` reads all of them, and the other calls go by what it saw, so that a pass over many tasks
    reads each slot once. Every write names the revision it replaces: where the slots moved since,
    the key is read again, and what was missed is put right after the next `held`. Without a first
    `held` each call reads for itself.
    """

    def __init__(self, kv: KeyValue, count: int) -> None:
        self.count = count
        self._kv = kv
        self._seen: dict[str, Entry] = {}
        self._looked = False

    async def held(self) -> dict[str, str]:
        """Key of the slot by the task that holds it, as of now."""
        self._seen, self._looked = await self._entries(), True
        return {entry.value.decode(): key for key, entry in reversed(self._seen.items())}

    async def take(self, task_id: str) -> bool:
        """Whether the task holds a slot now; one it held before counts."""
        seen, value = await self._known(), task_id.encode()
        for key in _of(seen, task_id):
            if await self._is_held(key, value):
                return True
        if len(seen) >= self.count:
            return False
        for key in (f"{_PREFIX}{number}" for number in range(self.count)):
            # Replicas that take one for the same task begin at the same key: it is one slot.
            if key not in seen and (
                await self._made(key, value) or await self._is_held(key, value)
            ):
                return True
        return False

    async def renew(self, task_id: str) -> bool:
        """Start the slot's time again; False when the task holds none any more.

        Of several, which replicas that saw different slots may have taken, the first is kept.
        """
        own = list(_of(await self._known(), task_id).items())
        for number, (key, entry) in enumerate(own):
            # Whoever was first may have renewed the same slot for the same task.
            if await self._renewed(key, entry) or await self._is_held(key, entry.value):
                for other, surplus in own[number + 1 :]:
                    await self._give_back(other, surplus)
                return True
        return False

    async def free(self, task_id: str) -> None:
        """Give back every slot of the task; one renewed meanwhile is tried again."""
        for key, entry in _of(await self._known(), task_id).items():
            await self._give_back(key, entry)

    async def _made(self, key: str, value: bytes) -> bool:
        revision = await self._kv.create(key, value, ttl=TTL)
        return self._noted(key, value, revision)

    async def _renewed(self, key: str, entry: Entry) -> bool:
        revision = await self._kv.update(key, entry.value, entry.revision, ttl=TTL)
        return self._noted(key, entry.value, revision)

    async def _give_back(self, key: str, entry: Entry) -> None:
        value, found = entry.value, entry
        for _ in range(_TRIES):
            if await self._kv.delete(key, found.revision):
                self._note(key, None)
                return
            if not await self._is_held(key, value):
                return
            found = self._seen[key]

    async def _is_held(self, key: str, value: bytes) -> bool:
        """Whether the slot is that task's, read again."""
        entry = await self._kv.get(key)
        self._note(key, entry)
        return entry is not None and entry.value == value

    def _noted(self, key: str, value: bytes, revision: int | None) -> bool:
        if revision is None:
            return False
        self._note(key, Entry(value=value, revision=revision))
        return True

    def _note(self, key: str, entry: Entry | None) -> None:
        self._seen.pop(key, None)
        if entry is not None:
            self._seen[key] = entry

    async def _known(self) -> dict[str, Entry]:
        if not self._looked:
            self._seen = await self._entries()
        return self._seen

    async def _entries(self) -> dict[str, Entry]:
        keys = sorted(key for key in await self._kv.keys() if key.startswith(_PREFIX))
        found = await asyncio.gather(*(self._kv.get(key) for key in keys))
        return {key: entry for key, entry in zip(keys, found, strict=True) if entry is not None}


def _of(entries: dict[str, Entry], task_id: str) -> dict[str, Entry]:
    value = task_id.encode()
    own = sorted(key for key, entry in entries.items() if entry.value == value)
    return {key: entries[key] for key in own}
