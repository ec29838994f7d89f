"""Slow ends of Jobs hold up nobody else."""

from __future__ import annotations

import asyncio

import pytest

from libs.common.errors import Temporary
from libs.common.launching.endings import Endings
from tests.fakes.launcher import FakeLauncher
from tests.unit.launching import examples
from tests.unit.launching.examples import name_of, request
from tests.unit.launching.world import World, again, newest_only


class Stubborn(FakeLauncher):
    """Jobs in `slow` end only when `end` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.slow: set[str] = set()
        self.told: list[str] = []
        self.end = asyncio.Event()

    async def cancel(self, job_name: str) -> None:
        self.told.append(job_name)
        if job_name in self.slow:
            await self.end.wait()
        await super().cancel(job_name)


async def test_an_end_that_is_quick_is_waited_for():
    calls: list[str] = []

    async def cancel() -> None:
        calls.append("cancelled")

    endings = Endings(lambda: calls.append("told"))
    assert await endings.end("job", cancel)
    assert await endings.end("job", cancel)
    assert calls == ["cancelled", "cancelled"]


async def test_a_slow_end_is_told_once_and_begun_once():
    calls: list[str] = []
    end = asyncio.Event()

    async def cancel() -> None:
        calls.append("cancelled")
        await end.wait()

    told = asyncio.Event()
    endings = Endings(told.set)
    assert not await endings.end("job", cancel)
    assert not await endings.end("job", cancel)
    end.set()
    async with asyncio.timeout(5):
        await told.wait()
    assert calls == ["cancelled"]


async def test_what_went_wrong_is_raised_and_tried_again():
    failures = [Temporary("no answer")]

    async def cancel() -> None:
        if failures:
            raise failures.pop()

    endings = Endings(lambda: None)
    with pytest.raises(Temporary):
        await endings.end("job", cancel)
    assert await endings.end("job", cancel)


async def test_closing_lets_go_of_those_still_ending():
    async def cancel() -> None:
        await asyncio.Event().wait()

    endings = Endings(lambda: None)
    assert not await endings.end("job", cancel)
    async with asyncio.timeout(5):
        await endings.close()


async def test_a_job_that_does_not_listen_delays_no_other_and_its_successor_waits_for_it():
    world = World(slots=3)
    launcher = world.launcher = Stubborn()
    for iid in (1, 2):
        await examples.requested(world.log, request(iid))
    reconciler = world.reconciler(newest_only)
    await reconciler.full_pass()
    launcher.slow = {name_of(request(1))}
    for iid in (1, 2):
        await examples.requested(world.log, again(request(iid)))
    await reconciler.full_pass()
    assert sorted(launcher.told) == sorted([name_of(request(1)), name_of(request(2))])
    assert sorted(world.running()) == [request(1).task_id, again(request(2)).task_id]
    launcher.end.set()
    async with asyncio.timeout(5):
        await reconciler._event.wait()
    await reconciler.full_pass()
    assert sorted(world.running()) == [again(request(1)).task_id, again(request(2)).task_id]
    assert await world.held() == sorted(world.running())
