"""Launch counts: one step at a time, whoever counts."""

from __future__ import annotations

import asyncio

from libs.common.launching.launches import Attempts, Launches
from tests.fakes.clock import START
from tests.fakes.kv import MemoryKeyValue

NAME = "gca-review-0123"


async def test_nothing_was_tried_at_first():
    assert await Launches(MemoryKeyValue()).get(NAME) == Attempts()


async def test_each_attempt_counts_one_more_and_says_when():
    launches = Launches(MemoryKeyValue())
    for expected in (1, 2):
        counted = await launches.add(NAME, await launches.get(NAME), START)
        assert counted == await launches.get(NAME)
        assert (counted.count, counted.at) == (expected, START)


async def test_of_replicas_that_saw_the_same_only_one_counts():
    kv = MemoryKeyValue()
    for _ in range(2):
        seen = await Launches(kv).get(NAME)
        counted = await asyncio.gather(*(Launches(kv).add(NAME, seen, START) for _ in range(5)))
        assert [found is not None for found in counted].count(True) == 1
    assert (await Launches(kv).get(NAME)).count == 2


async def test_attempt_that_was_refused_can_be_taken_back():
    launches = Launches(MemoryKeyValue())
    seen = await launches.get(NAME)
    mine = await launches.add(NAME, seen, START)
    assert mine
    await launches.take_back(NAME, mine, seen)
    again = await launches.get(NAME)
    assert (again.count, again.at) == (0, None)


async def test_taking_back_leaves_what_others_counted_since():
    launches = Launches(MemoryKeyValue())
    mine = await launches.add(NAME, Attempts(), START)
    assert mine
    theirs = await launches.add(NAME, mine, START)
    await launches.take_back(NAME, mine, Attempts())
    assert await launches.get(NAME) == theirs
