"""A review that a person asks for is taken from the same budgets as code and answers (SR-43)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from libs.common.events.tasks import ReviewDone, TaskRequested, Usage
from libs.common.spending import Asker, Budgets, Spending
from tests.unit.reviewer.world import A, World

REVIEW = "/copilot review"


@pytest.fixture
def world() -> World:
    return World()


async def ask(world: World, level: int | None = 30) -> TaskRequested:
    """A command, delivered twice, as everything is."""
    event = await world.noted(REVIEW, level)
    for _ in range(2):
        await world.deliver(event)
    return world.requests()[-1]


def to_run(world: World) -> int:
    return sum(1 for request in world.requests() if request.max_launches)


async def test_sr_43_a_hundred_commands_give_as_many_reviews_as_allowed_and_one_note(world):
    for _ in range(100):
        await ask(world)

    refused = world.refusals()
    assert ["budget"] * 90 == [one.code for one in refused]
    assert [False] + [True] * 89 == [one.quiet for one in refused]
    assert (10, 100) == (to_run(world), len(world.requests()))


async def test_sr_43_a_closed_merge_request_is_no_place_for_endless_answers(world):
    world.gitlab.change(world.mr, state="closed")
    for _ in range(30):
        await ask(world)

    told = [one.code for one in world.refusals() if not one.quiet]
    assert ["closed"] * 10 + ["budget"] == told


async def test_sr_43_who_may_not_ask_is_told_once_an_hour(world):
    for _ in range(20):
        await ask(world, None)

    assert {"access"} == {one.code for one in world.refusals()}
    assert [False] + [True] * 19 == [one.quiet for one in world.refusals()]
    assert ("Reporter", 0) == (world.refusals()[-1].needed, to_run(world))

    world.clock.advance(timedelta(hours=1).total_seconds() + 1)
    await ask(world, None)

    assert not world.refusals()[-1].quiet


async def test_an_hour_later_reviews_may_be_asked_for_again(world):
    for _ in range(11):
        await ask(world)
    world.clock.advance(timedelta(hours=1).total_seconds() + 1)

    assert (await ask(world)).max_launches


async def test_what_a_person_asked_of_the_coder_counts_here_too(world):
    world.budgets = Budgets(place=2)
    coder = Spending(world.kv, world.budgets)
    for number in range(2):
        asker = Asker(place="42.7", user="1", project_id=42)
        await coder.take(f"ask-42-7-n{number}", asker, world.clock.now())

    await ask(world)

    assert ["budget"] == [one.code for one in world.refusals()]


@pytest.mark.parametrize("asked", [True, False], ids=["asked for", "by itself"])
async def test_sessions_count_when_a_person_asked_for_them(world, asked):
    world.budgets = Budgets(tokens=1_000)
    event = await (world.noted(REVIEW) if asked else world.seen())
    await world.deliver(event)
    [first] = world.requests()
    usage = Usage(input_tokens=900, output_tokens=100)
    done = ReviewDone(task_id=first.task_id, head_sha=A, summary="fine", usage=usage)
    for _ in range(2):
        await world.deliver(await world.end(done))

    await ask(world)

    details = [one.detail for one in world.refusals()]
    assert (["of the tokens of the project"] if asked else []) == details


async def test_reviews_that_nobody_asked_for_are_not_held_back(world):
    for _ in range(12):
        await ask(world)
    before = to_run(world)
    world.gitlab.push(world.mr, "b" * 40)

    await world.deliver(await world.seen("b" * 40))

    assert before + 1 == to_run(world)
