"""Budgets are counted before anything is launched, and a refusal is one short note (SR-43)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from libs.common.errors import Temporary
from libs.common.events.tasks import Answered, ChangesProposed, Refused, TaskFailed, Usage
from libs.common.spending import Asker, Budgets, Spending
from tests.fakes.clock import START
from tests.fakes.gitlab import ALICE
from tests.fakes.kv import MemoryKeyValue
from tests.unit.coder.world import BOB, World

ASKER = Asker(place="42.7", user="8", project_id=42)
SMALL = Budgets(place=2, user=3, project=4, everywhere=5)


def spending(budgets: Budgets = SMALL, kv: MemoryKeyValue | None = None) -> Spending:
    return Spending(kv or MemoryKeyValue(), budgets)


async def taken(found: Spending, count: int, **changes: object) -> list[str]:
    words = []
    for number in range(count):
        given = {"place": f"42.{number}", "user": str(number), "project_id": number} | changes
        words.append(await found.take(f"t{number}", Asker(**given), START))  # type: ignore[arg-type]
    return words


@pytest.mark.parametrize(
    ("same", "limit", "word"),
    [
        ({"place": "42.7"}, 2, "merge request or issue"),
        ({"user": "8"}, 3, "person"),
        ({"project_id": 42}, 4, "project"),
        ({}, 5, "everybody"),
    ],
)
async def test_each_budget_counts_its_own(same, limit, word):
    assert [""] * limit + [word] == await taken(spending(), limit + 1, **same)


async def test_the_same_task_counts_once_however_often_it_is_delivered():
    found = spending()
    for _ in range(9):
        assert not await found.take("t", ASKER, START)
    assert not await found.take("u", ASKER, START)
    assert await found.take("v", ASKER, START)


async def test_an_hour_later_there_is_room_again():
    found = spending()
    for task_id in "tu":
        await found.take(task_id, ASKER, START)
    assert await found.take("v", ASKER, START + timedelta(minutes=59))
    assert not await found.take("v", ASKER, START + timedelta(minutes=60))


async def test_a_refusal_eats_no_budget():
    found = spending()
    for number in range(4):
        await found.take(f"t{number}", ASKER, START)
    elsewhere = Asker(place="42.9", user="8", project_id=42)
    assert not await found.take("x", elsewhere, START)
    assert "person" == await found.take("y", elsewhere, START)


async def test_two_replicas_at_once_give_no_more_than_the_budget():
    kv = MemoryKeyValue()
    words = await asyncio.gather(
        *(spending(kv=kv).take(f"t{number}", ASKER, START) for number in range(9))
    )
    assert 2 == list(words).count("")


async def test_a_list_that_others_keep_writing_is_tried_again_later():
    class Busy(MemoryKeyValue):
        async def create(self, *_: object, **__: object) -> None:
            return None

    with pytest.raises(Temporary):
        await spending(kv=Busy()).take("t", ASKER, START)


@pytest.mark.parametrize(
    ("budgets", "word"),
    [
        (Budgets(tokens=1_000), "tokens of the project"),
        (Budgets(minutes=2), "minutes of the project"),
    ],
)
async def test_what_sessions_used_counts_for_the_project_for_an_hour(budgets, word):
    found = spending(budgets)
    for _ in range(3):
        await found.used("t", 42, (999, 119.0), START)
    assert not await found.take("a", ASKER, START)
    await found.used("u", 42, (1, 1.0), START)
    assert word == await found.take("b", ASKER, START)
    assert not await found.take("b", Asker(place="1.1", user="1", project_id=1), START)
    assert not await found.take("b", ASKER, START + timedelta(hours=1))


async def test_used_tokens_and_seconds_come_from_the_results():
    world = World(Budgets(tokens=1_000, minutes=10))
    first = await world.say("/copilot ask why?")
    usage = Usage(input_tokens=900, output_tokens=100, seconds=3.0)
    answer = Answered(task_id=first.task_id, head_sha=first.head_sha, answer="So.", usage=usage)
    await world.deliver(await world.ended(first, answer))

    await world.say("/copilot again")

    end = world.results()[-1]
    assert isinstance(end, Refused)
    assert ("budget", "of the tokens of the project") == (end.code, end.detail)


async def test_a_failed_session_used_its_time_too():
    world = World(Budgets(minutes=10))
    first = await world.say("/copilot do it")
    stages = {"clone": 100.0, "session": 500.0}
    failed = TaskFailed(
        task_id=first.task_id, head_sha=first.head_sha, reason="timeout", stages=stages
    )
    await world.deliver(await world.ended(first, failed))

    await world.say("/copilot again")

    assert "of the minutes of the project" == world.results()[-1].detail


async def test_sr_43_a_hundred_mentions_give_as_many_jobs_as_allowed_and_one_note():
    world = World()

    for number in range(100):
        await world.say(f"@copilot-agent ask what is {number}?")

    refused = [one for one in world.results() if isinstance(one, Refused)]
    assert ["budget"] * 90 == [one.code for one in refused]
    assert [False] + [True] * 89 == [one.quiet for one in refused]
    assert 10 == len(await world.run_jobs())
    assert 10 == sum(1 for one in world.requests() if one.instruction)


async def test_sr_09_two_bots_that_ask_each_other_for_help_end_soon():
    world = World()
    world.gitlab.add_member(42, BOB, 30)

    for number in range(50):
        await world.deliver(await world.note("/copilot help", (ALICE, BOB)[number % 2]))

    assert 10 == len(world.results())


async def test_refused_commands_do_not_count_as_code_of_the_project():
    world = World()
    request = await world.say("/copilot do it")
    await world.deliver(await world.proposed(request))

    assert isinstance(world.result(request), ChangesProposed)
    assert 1 == len(world.results())
