"""Slots: as many tasks at once as there are, whoever asks and however often."""

from __future__ import annotations

import asyncio
from collections import Counter

from libs.common.kv import Entry
from libs.common.launching.slots import TTL, Slots
from tests.fakes.clock import FakeClock
from tests.fakes.kv import MemoryKeyValue


class CountingKeyValue(MemoryKeyValue):
    """Counts its calls by name."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    async def get(self, key: str) -> Entry | None:
        self.calls["get"] += 1
        return await super().get(key)

    async def keys(self) -> list[str]:
        self.calls["keys"] += 1
        return await super().keys()


class SlowKeyValue(MemoryKeyValue):
    """Lets others run before and after each call, so that all interleavings of readers happen."""

    async def get(self, key: str) -> Entry | None:
        await asyncio.sleep(0)
        return await super().get(key)

    async def create(self, key: str, value: bytes, *, ttl: int | None = None) -> int | None:
        await asyncio.sleep(0)
        revision = await super().create(key, value, ttl=ttl)
        await asyncio.sleep(0)
        return revision


async def test_takes_as_many_as_there_are():
    slots = Slots(MemoryKeyValue(), 2)
    assert [await slots.take(task) for task in ("a", "b", "c")] == [True, True, False]
    assert await slots.held() == {"a": "slot.0", "b": "slot.1"}


async def test_taking_again_is_the_same_slot():
    slots = Slots(MemoryKeyValue(), 2)
    assert [await slots.take("a"), await slots.take("a")] == [True, True]
    assert await slots.held() == {"a": "slot.0"}


async def test_freed_slot_is_free_for_others_and_freeing_twice_is_harmless():
    slots = Slots(MemoryKeyValue(), 1)
    await slots.take("a")
    await slots.free("a")
    await slots.free("a")
    assert await slots.take("b") is True


async def test_freeing_leaves_the_slots_of_others():
    slots = Slots(MemoryKeyValue(), 2)
    await slots.take("a")
    await slots.take("b")
    await slots.free("a")
    assert list(await slots.held()) == ["b"]


async def test_slot_nobody_renews_expires():
    clock = FakeClock()
    slots = Slots(MemoryKeyValue(clock), 1)
    await slots.take("a")
    clock.advance(TTL)
    assert await slots.renew("a") is False
    assert await slots.take("b") is True


async def test_renewed_slot_lives_on():
    clock = FakeClock()
    slots = Slots(MemoryKeyValue(clock), 1)
    await slots.take("a")
    for _ in range(3):
        clock.advance(TTL - 1)
        assert await slots.renew("a") is True
    assert await slots.take("b") is False


async def test_any_replica_renews_by_the_task():
    kv = MemoryKeyValue()
    await Slots(kv, 1).take("a")
    both = await asyncio.gather(Slots(kv, 1).renew("a"), Slots(kv, 1).renew("a"))
    assert both == [True, True]


async def test_fewer_slots_than_before_leaves_holders_in_place_and_admits_nobody():
    kv = MemoryKeyValue()
    for task in ("a", "b", "c"):
        await Slots(kv, 3).take(task)
    fewer = Slots(kv, 1)
    await fewer.free("a")
    assert await fewer.take("d") is False
    assert await fewer.renew("c") is True


async def test_other_leases_in_the_bucket_are_no_slots():
    kv = MemoryKeyValue()
    await kv.create("publish.42.7", b"a")
    slots = Slots(kv, 1)
    assert await slots.take("b") is True
    assert await slots.held() == {"b": "slot.0"}


async def test_replicas_that_race_for_the_last_slot_give_it_to_one_task():
    kv = SlowKeyValue()
    took = await asyncio.gather(*(Slots(kv, 1).take(task) for task in "abcdef"))
    assert sorted(took) == [False] * 5 + [True]
    assert len(await kv.keys()) == 1


async def test_replicas_that_race_for_one_task_leave_it_one_slot():
    kv = SlowKeyValue()
    took = await asyncio.gather(*(Slots(kv, 4).take("a") for _ in range(4)))
    assert True in took
    assert len(await kv.keys()) == 1


async def test_never_more_holders_than_slots_in_a_crowd():
    kv = SlowKeyValue()
    asked = [Slots(kv, 3).take(task) for task in "abcdefgh" for _ in range(2)]
    await asyncio.gather(*asked)
    assert len(await kv.keys()) <= 3


async def test_a_pass_over_many_tasks_reads_each_slot_once():
    kv, tasks = CountingKeyValue(), [f"task-{number}" for number in range(200)]
    slots = Slots(kv, len(tasks))
    for task in tasks:
        await kv.create(f"slot.{task}", task.encode(), ttl=TTL)

    assert len(await slots.held()) == len(tasks)
    assert all([await slots.renew(task) for task in tasks])
    for task in tasks[:100]:
        await slots.free(task)
    assert kv.calls == {"keys": 1, "get": len(tasks)}


async def test_many_lost_slots_are_taken_again_without_reading_all_for_each():
    kv, tasks = CountingKeyValue(), [f"task-{number}" for number in range(200)]
    slots = Slots(kv, len(tasks))
    assert await slots.held() == {}
    for task in tasks:
        assert not await slots.renew(task)
        assert await slots.take(task)

    assert kv.calls == {"keys": 1}


async def test_slots_that_moved_since_they_were_seen_are_read_again():
    kv = MemoryKeyValue()
    late, other = Slots(kv, 2), Slots(kv, 2)
    await other.take("a")
    await late.held()
    assert await other.renew("a")
    assert await late.renew("a")
    await other.held()
    await other.free("a")
    await other.take("b")

    assert await late.take("a")
    assert await late.held() == {"a": "slot.1", "b": "slot.0"}


async def test_who_did_not_see_that_a_slot_moved_neither_renews_nor_frees_it():
    kv = MemoryKeyValue()
    late, other = Slots(kv, 1), Slots(kv, 1)
    await late.take("a")
    await late.held()
    await other.free("a")
    await other.take("b")

    assert await late.renew("a") is False
    await late.free("a")
    assert await other.held() == {"b": "slot.0"}


async def test_one_renewed_meanwhile_is_freed_all_the_same():
    kv = MemoryKeyValue()
    late, other = Slots(kv, 1), Slots(kv, 1)
    await late.take("a")
    await late.held()
    await other.renew("a")
    await late.free("a")

    assert await other.held() == {}


async def test_a_second_slot_of_a_task_is_given_back_when_it_is_renewed():
    kv = MemoryKeyValue()
    late = Slots(kv, 2)
    await Slots(kv, 2).take("x")
    await late.held()
    await Slots(kv, 2).free("x")
    await Slots(kv, 2).take("a")
    await late.take("a")
    assert len(await kv.keys()) == 2

    await late.held()
    assert await late.renew("a")
    assert await Slots(kv, 2).held() == {"a": "slot.0"}
    assert await kv.keys() == ["slot.0"]
