"""Heads and `/copilot review` that an operator replays."""

from __future__ import annotations

import pytest

from libs.common import replaying
from libs.common.events.envelope import NewEvent, Recorded
from libs.common.events.tasks import ReviewDone, TaskFailed
from tests.unit.reviewer.world import A, B, World

FIRST = f"review-42-7-{A[:16]}-0"
AGAIN = f"review-42-7-{A[:16]}-rnight"


@pytest.fixture
def world() -> World:
    return World()


async def replayed(world: World, record: Recorded, replay: str = "night") -> Recorded:
    """As `gca replay` appends it."""
    await world.log.append(
        NewEvent(
            subject=record.subject,
            event=record.event,
            message_id=replaying.message_id(replay, record.message_id),
            source="gca",
            time=world.clock.now(),
            replay_of=record.message_id,
        )
    )
    again = await world.log.last(record.subject)
    assert again is not None
    return again


def ids(world: World) -> list[str]:
    return [request.task_id for request in world.requests()]


async def reviewed(world: World, task_id: str) -> None:
    await world.end(ReviewDone(task_id=task_id, head_sha=A, summary="fine"))
    await world.publish(task_id, "posted")


async def test_a_reviewed_head_is_reviewed_once_more_and_once_per_replay(world):
    seen = await world.seen()
    await world.deliver(seen)
    await reviewed(world, FIRST)

    again = await replayed(world, seen)
    await world.deliver(again)
    await world.deliver(again)
    await reviewed(world, AGAIN)
    await world.deliver(again)

    assert [FIRST, AGAIN] == ids(world)


async def test_a_head_whose_review_runs_gets_no_second_one(world):
    seen = await world.seen()
    await world.deliver(seen)

    await world.deliver(await replayed(world, seen))

    assert [FIRST] == ids(world)


async def test_a_failed_review_runs_once_more(world):
    seen = await world.seen()
    await world.deliver(seen)
    await world.end(TaskFailed(task_id=FIRST, head_sha=A, reason="model"))

    await world.deliver(await replayed(world, seen))

    assert [FIRST, AGAIN] == ids(world)


@pytest.mark.parametrize("change", [{"state": "closed"}, {"draft": True}])
async def test_a_replay_reviews_nothing_that_an_event_would_not(world, change):
    seen = await world.seen()
    world.gitlab.change(world.mr, **change)

    await world.deliver(await replayed(world, seen))

    assert [] == ids(world)


async def test_a_head_that_was_overtaken_is_not_reviewed_by_a_replay(world):
    seen = await world.seen()
    world.gitlab.push(world.mr, B)

    await world.deliver(await replayed(world, seen))

    assert [] == ids(world)


async def test_a_reviewed_head_stays_reviewed_after_a_replay(world):
    seen = await world.seen()
    await world.deliver(seen)
    await reviewed(world, FIRST)
    await world.deliver(await replayed(world, seen))
    await reviewed(world, AGAIN)

    await world.deliver(await world.seen())

    assert [FIRST, AGAIN] == ids(world)


async def test_a_command_is_served_once_more_when_its_review_has_ended(world):
    noted = await world.noted("/copilot review")
    await world.deliver(noted)
    [first] = ids(world)
    await world.deliver(await replayed(world, noted, "early"))
    assert [first] == ids(world), "it still runs"
    await reviewed(world, first)

    again = await replayed(world, noted)
    await world.deliver(again)
    await world.deliver(again)

    assert [first, f"{first}-rnight"] == ids(world)
    assert world.requests()[0].asked_in == world.requests()[1].asked_in
