"""What every bucket does; run for the fake and for JetStream by test_key_value.py."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from libs.common.kv import Entry, KeyValue

Pass = Callable[[float], Awaitable[None]]


class KeyValueContract:
    """Subclasses bring fixtures `keys` and `time_passes` (seconds)."""

    async def test_a_key_that_is_not_there_is_none(self, keys: KeyValue) -> None:
        assert await keys.get("reviewed.42.7") is None

    async def test_a_created_key_is_read_with_its_revision(self, keys: KeyValue) -> None:
        revision = await keys.create("reviewed.42.7", b"cafe")
        assert revision is not None
        assert await keys.get("reviewed.42.7") == Entry(value=b"cafe", revision=revision)

    async def test_a_key_is_created_once(self, keys: KeyValue) -> None:
        tried = await asyncio.gather(*(keys.create("k", str(n).encode()) for n in range(10)))
        assert len([revision for revision in tried if revision is not None]) == 1

    async def test_update_needs_the_current_revision(self, keys: KeyValue) -> None:
        first = await keys.create("k", b"1")
        assert first is not None
        second = await keys.update("k", b"2", first)
        assert second is not None
        assert second > first
        assert await keys.update("k", b"3", first) is None
        assert await keys.get("k") == Entry(value=b"2", revision=second)

    async def test_a_deleted_key_is_gone_and_can_be_created_at_once(self, keys: KeyValue) -> None:
        revision = await keys.create("k", b"1")
        assert await keys.delete("k", revision)
        assert await keys.get("k") is None
        assert await keys.keys() == []
        again = await keys.create("k", b"2")
        assert again is not None
        assert revision is not None
        assert again > revision

    async def test_delete_with_an_old_revision_does_nothing(self, keys: KeyValue) -> None:
        old = await keys.create("k", b"1")
        assert old is not None
        await keys.update("k", b"2", old)
        assert not await keys.delete("k", old)
        found = await keys.get("k")
        assert found is not None
        assert found.value == b"2"

    async def test_delete_without_a_revision_always_deletes(self, keys: KeyValue) -> None:
        await keys.create("k", b"1")
        assert await keys.delete("k")
        assert await keys.delete("k")
        assert await keys.get("k") is None

    async def test_keys_are_all_that_exist_sorted(self, keys: KeyValue) -> None:
        for key in ("slots.2", "slots.1", "other"):
            await keys.create(key, b"")
        await keys.delete("other")
        assert await keys.keys() == ["slots.1", "slots.2"]

    async def test_a_key_with_a_ttl_runs_out(self, keys: KeyValue, time_passes: Pass) -> None:
        await keys.create("k", b"1", ttl=1)
        await keys.create("stays", b"1")
        await time_passes(1.6)
        assert await keys.get("k") is None
        assert await keys.keys() == ["stays"]
        assert await keys.create("k", b"2") is not None

    async def test_an_update_with_a_ttl_counts_anew(
        self, keys: KeyValue, time_passes: Pass
    ) -> None:
        first = await keys.create("k", b"1", ttl=1)
        assert first is not None
        assert await keys.update("k", b"2", first, ttl=3) is not None
        await time_passes(1.6)
        assert await keys.get("k") is not None
        await time_passes(2)
        assert await keys.get("k") is None

    async def test_an_update_of_a_key_that_ran_out_is_refused(
        self, keys: KeyValue, time_passes: Pass
    ) -> None:
        first = await keys.create("k", b"1", ttl=1)
        assert first is not None
        await time_passes(1.6)
        assert await keys.update("k", b"2", first) is None
