"""Task slots: how many tasks run at once, over all services and replicas (`MAX_CONCURRENT_TASKS`).

Used by the reconciler. A slot is a key of the lease bucket whose value is the task that holds it;
whoever reconciles that task renews it, so that a slot belongs to the task and not to a process.
When nobody reconciles for `TTL` seconds, slots expire while Jobs may still run: then for a while
more tasks may run than allowed, and none is ever stuck.
"""

from __future__ import annotations

from libs.common.kv import Entry, KeyValue

TTL = 90
_PREFIX = "slot."
KEYS = f"{_PREFIX}*"
"""Pattern of the keys of all slots."""


class Slots:
    """`count` slots in `kv`; every call may raise `Temporary`."""

    def __init__(self, kv: KeyValue, count: int) -> None:
        self.count = count
        self._kv = kv

    async def take(self, task_id: str) -> bool:
        """Whether the task holds a slot now; one it held before counts."""
        entries = await self._entries()
        if _of(entries, task_id):
            return True
        if len(entries) >= self.count:
            return False
        wanted = (f"{_PREFIX}{number}" for number in range(self.count))
        for key in wanted:
            if key not in entries and await self._kv.create(key, task_id.encode(), ttl=TTL):
                return await self._keep_one(task_id)
        return False

    async def renew(self, task_id: str) -> bool:
        """Start the slot's time again; False when the task holds none any more."""
        for key, entry in _of(await self._entries(), task_id).items():
            if await self._kv.update(key, entry.value, entry.revision, ttl=TTL):
                return True
        # Whoever was first may have renewed the same slot for the same task.
        return bool(_of(await self._entries(), task_id))

    async def free(self, task_id: str) -> None:
        """Give back every slot of the task; one renewed meanwhile is tried again."""
        for _ in range(3):
            own = _of(await self._entries(), task_id)
            for key, entry in own.items():
                await self._kv.delete(key, entry.revision)
            if not own:
                return

    async def held(self) -> dict[str, str]:
        """Key of the slot by the task that holds it."""
        entries = await self._entries()
        return {entry.value.decode(): key for key, entry in reversed(entries.items())}

    async def _keep_one(self, task_id: str) -> bool:
        """Two replicas may have taken two slots for one task: both keep the first, drop the rest.

        The later of the two creations is followed by a look that sees both.
        """
        own = _of(await self._entries(), task_id)
        for key, entry in list(own.items())[1:]:
            await self._kv.delete(key, entry.revision)
        return bool(own)

    async def _entries(self) -> dict[str, Entry]:
        keys = [key for key in await self._kv.keys() if key.startswith(_PREFIX)]
        found = [(key, await self._kv.get(key)) for key in sorted(keys)]
        return {key: entry for key, entry in found if entry is not None}


def _of(entries: dict[str, Entry], task_id: str) -> dict[str, Entry]:
    return {key: entry for key, entry in entries.items() if entry.value == task_id.encode()}
