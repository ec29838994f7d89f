"""Hooks that do not come, and those that do after all."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.ingest.hook_watch import CAUSES, Missed, Unwatched, Watch, WatchedHooks, hook_of
from tests.fakes.clock import FakeClock
from tests.fakes.kv import MemoryKeyValue
from tests.unit.ingest import bodies
from tests.unit.ingest.polling_world import HOOK_SECONDS, B, World

T0 = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
HOOK = (42, "merge_request")


def missed(at: datetime = T0) -> Missed:
    return Missed(path="shop/app", happened=at, found=at + timedelta(seconds=20))


@pytest.mark.parametrize(
    ("came", "seconds", "late"),
    [
        (None, 319, False),
        (None, 320, True),
        (T0 - timedelta(seconds=6), 320, True),
        (T0 - timedelta(seconds=4), 320, False),
        (T0 + timedelta(seconds=310), 320, False),
    ],
)
def test_a_hook_is_missing_when_it_was_late_for_long(
    came: datetime | None, seconds: float, *, late: bool
) -> None:
    watch = Watch(timedelta(seconds=300))
    watch.found(HOOK, missed())
    now = T0 + timedelta(seconds=seconds)
    assert watch.judge({HOOK: came} if came else {}, now) == ([HOOK] if late else [])
    assert watch.names() == (["shop/app (Merge request events)"] if late else [])


def test_another_hook_of_the_project_proves_nothing() -> None:
    watch = Watch(timedelta(seconds=300))
    watch.found(HOOK, missed())
    others = {(42, "note"): T0 + timedelta(seconds=60), (43, "merge_request"): T0}
    assert watch.judge(others, T0 + timedelta(hours=1)) == [HOOK]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (bodies.merge_request("open"), (42, "merge_request")),
        (bodies.merge_request("approved"), (42, "merge_request")),
        (bodies.note("nice work"), (42, "note")),
        ({"object_kind": "push", "project": {"id": 42}}, None),
        ({"object_kind": "note", "project": {"id": "42"}}, None),
        ({"object_kind": ["note"], "project": {"id": 42}}, None),
        ([], None),
        (None, None),
    ],
)
def test_any_hook_of_a_kind_counts_whatever_it_means(body: Any, expected: object) -> None:
    assert hook_of(body) == expected


async def test_a_hook_that_is_off_is_said_once_and_ends_when_hooks_come_again() -> None:
    world = World()
    world.clock.advance(3600)
    world.gitlab.open()
    with capture_logs() as lines:
        await world.looks(30)
        trouble = await world.hooks.trouble()
        assert trouble is not None
        assert trouble.startswith("webhooks do not come: shop/app (Merge request events). ")
        assert "GITLAB_WEBHOOK_SECRET" in trouble
        world.gitlab.change(sha=B)
        await world.hook(bodies.merge_request("open", last_commit={"id": B}))
        await world.looks(30)
    assert await world.hooks.trouble() is None
    told = [line for line in lines if line["event"].startswith("webhooks")]
    assert ["webhooks do not come", "webhooks come again"] == [line["event"] for line in told]
    assert told[0]["likely_causes"] == CAUSES


async def test_a_hook_that_comes_late_is_nothing_to_say() -> None:
    world = World()
    world.gitlab.open()
    await world.look()
    world.clock.advance(HOOK_SECONDS - 1)
    await world.hook(bodies.merge_request("open", last_commit={"id": "a" * 40}))
    world.clock.advance(HOOK_SECONDS)
    await world.look()
    assert await world.hooks.trouble() is None


async def test_what_happened_before_we_listened_is_no_reason() -> None:
    world = World()
    world.gitlab.open(updated_at=world.ago(seconds=60))
    await world.looks(30)
    assert len(world.log.events) == 1
    assert await world.hooks.trouble() is None


class HeardKeys(MemoryKeyValue):
    """Tells when something was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = asyncio.Event()

    async def create(self, key: str, value: bytes, *, ttl: int | None = None) -> int | None:
        self.written.set()
        return await super().create(key, value, ttl=ttl)


async def test_a_hook_that_another_replica_took_counts() -> None:
    clock, keys = FakeClock(), HeardKeys()
    polls, other = WatchedHooks(HOOK_SECONDS, clock), WatchedHooks(HOOK_SECONDS, clock)
    world = World(clock=clock)
    world.hooks = polls
    world.poller = world.another()
    stopping = asyncio.Event()
    other.came(bodies.merge_request("open"))
    sharing = [asyncio.create_task(each.share(keys, stopping)) for each in (polls, other)]
    async with asyncio.timeout(5):
        await keys.written.wait()
        stopping.set()
        await asyncio.gather(*sharing)
    world.gitlab.open()
    await world.looks(30)
    assert await polls.trouble() is None


async def test_who_does_not_watch_says_nothing() -> None:
    unwatched = Unwatched()
    unwatched.came({})
    await unwatched.judge()
