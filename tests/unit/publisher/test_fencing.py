"""A publisher that wakes up after its lease ran out: it writes nothing more, another finishes."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest

from libs.common.errors import Temporary
from libs.common.jetstream.leases import Leases
from services.publisher.handlers import on_event
from services.publisher.ports import Ports
from tests.unit.publisher.asked import from_issue, from_note, proposed
from tests.unit.publisher.world import Fuse, World, finding, review

LEASE = 30
OWN = {"last", "create", "get", "update", "delete"}
"""Calls to our own log and keys, which need no lease: they are created once."""


class Sleep(Fuse):
    """The process stands still right after the n-th effect, until its lease has run out."""

    def __init__(self, world: World, at: int) -> None:
        super().__init__()
        self._world = world
        self._at = at

    def after(self, _: str) -> None:
        if self.count == self._at:
            self._world.clock.advance(LEASE + 1)


def ports(world: World, fuse: Fuse | None = None) -> Ports:
    leases = Leases(world.kv, world.clock)
    return dataclasses.replace(world.ports(fuse), leases=leases, lease_seconds=LEASE)


async def review_task(world: World):
    await world.requested()
    return await world.ended(review(finding(2, "Say what it is."), finding(1, "Why?")))


async def note_task(world: World):
    request = from_note(world)
    await world.started(request)
    return await world.ended(proposed(request), request)


async def issue_task(world: World):
    request = from_issue(world)
    await world.started(request)
    return await world.ended(proposed(request), request)


@pytest.mark.parametrize("task", [review_task, note_task, issue_task])
async def test_a_lease_lost_between_any_two_calls_ends_the_writing_there(task):
    probe, fuse = World(), Fuse()
    await on_event(await task(probe), ports=ports(probe, fuse))
    expected = sorted(probe.gitlab.bodies(probe.mr))
    first = next(number for number, name in enumerate(fuse.names) if name not in OWN)
    assert len(fuse.names) - first > 5, "the probe saw no effects"

    for at in range(first + 1, fuse.count):
        world = World()
        result = await task(world)
        sleep = Sleep(world, at)
        with contextlib.suppress(Temporary):
            await on_event(result, ports=ports(world, sleep))

        assert set() == set(sleep.names[at:]) - OWN, f"asleep after {fuse.names[at - 1]}"
        await on_event(result, ports=ports(world))
        assert expected == sorted(world.gitlab.bodies(world.mr))
        assert len(probe.repository.commits) == len(world.repository.commits)
