"""A reconciler killed at any of its writes: the next one comes to the same end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.launching import examples
from tests.unit.launching.examples import name_of, request
from tests.unit.launching.world import World, again, changed, newest_only


class Killed(BaseException):
    """The process is gone, in the middle of what it did."""


class Mortal:
    """Passes every call on to a port and kills the process at one write, before or after it."""

    WRITES = frozenset({"create", "update", "delete", "append", "launch", "cancel"})

    def __init__(self, port: object, life: dict[str, int], *, after: bool) -> None:
        self._port, self._life, self._after = port, life, after

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._port, name)
        return self._mortal(call) if name in self.WRITES else call

    def _mortal(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def called(*args: Any, **given: Any) -> Any:
            if self._life["left"] == 0:
                raise Killed  # several writes may be on their way when it dies
            self._life["left"] -= 1
            if self._life["left"] == 0 and not self._after:
                raise Killed
            answer = await call(*args, **given)
            if self._life["left"] == 0:
                raise Killed
            return answer

        return called


async def _eventful(world: World) -> None:
    """One task to launch, one superseded with a running Job, one crashed, one expired."""
    # An attempt counts even when it was cut off, so one more than the crash takes must be allowed.
    old, crashed, expired = (
        request(1),
        changed(request(2), max_launches=3),
        request(3, expires_in=100),
    )
    for wanted in (old, crashed):
        await examples.requested(world.log, wanted)
    reconciler = world.reconciler(newest_only)
    await reconciler.full_pass()
    world.launcher.exit(name_of(crashed), "run failed", 70)
    await examples.requested(world.log, expired)
    await examples.requested(world.log, again(old))
    world.clock.advance(200)


async def _killed_at(write: int, *, after: bool) -> tuple[World, bool]:
    world = World(slots=2)
    await _eventful(world)
    life = {"left": write or -1}
    ports = {
        name: Mortal(getattr(world, name), life, after=after)
        for name in ("log", "locks", "dedup", "launcher")
    }
    doomed = world.reconciler(newest_only, **ports)
    try:
        await doomed.full_pass()
        world.clock.advance(10)
        await doomed.full_pass()
    except Killed:
        return world, True
    return world, False


async def _end_state(world: World) -> tuple[object, ...]:
    await world.settle(newest_only)
    # Two replicas may end two tasks in either order; what counts is what each end says.
    ends = sorted(repr(result) for result in world.results())
    return ends, sorted(world.running()), sorted(world.launcher.running), await world.held()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_any_write_the_next_process_comes_to_the_same_end(*, after: bool):
    expected = await _end_state((await _killed_at(0, after=after))[0])
    deaths = 0
    for write in range(1, 40):
        world, killed = await _killed_at(write, after=after)
        deaths += killed
        assert await _end_state(world) == expected, f"killed at write {write}"
    assert 8 < deaths < 39


async def test_the_expected_end_of_that_story_is_the_right_one():
    world, _ = await _killed_at(0, after=False)
    ends, running, jobs, held = await _end_state(world)
    wanted = sorted([request(2).task_id, again(request(1)).task_id])
    assert (running, held, len(jobs)) == (wanted, wanted, 2)
    assert len(ends) == 2
