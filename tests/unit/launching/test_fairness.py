"""Round robin over projects: who starts next, and what is left to other services."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import pytest

from libs.common.errors import Temporary
from libs.common.launching.fairness import ABSENCE, PATIENCE, Courtesy, fair
from libs.common.launching.plan import (
    LeaveSlot,
    OpenTask,
    StartJob,
    View,
    plan,
    waits_for_others,
)
from libs.common.launching.turns import TTL, Turns
from tests.fakes.clock import START, FakeClock
from tests.fakes.kv import MemoryKeyValue
from tests.unit.launching import examples
from tests.unit.launching.examples import job, request, task
from tests.unit.launching.world import World, changed


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def of(project: int, seq: int, kind: str = "review") -> OpenTask:
    """A task of a project, requested `seq` seconds after the start."""
    found = task(seq, "coding" if kind == "coding" else "review", seq=seq)
    asked = msgspec.structs.replace(
        found.request, project_id=project, task_id=f"{found.task_id}-{project}"
    )
    return msgspec.structs.replace(found, request=asked, requested_at=at(seq))


def projects(tasks: list[OpenTask]) -> list[int]:
    return [found.request.project_id for found in tasks]


NOW = at(1000)


def test_within_a_project_the_oldest_request_is_first():
    tasks = [of(1, 3), of(1, 1), of(1, 2)]
    assert [1, 2, 3] == [found.seq for found in fair(tasks, {}, {}, NOW)]


def test_projects_take_turns_however_many_tasks_one_has():
    busy = [of(1, seq) for seq in range(1, 6)]
    assert projects(fair([*busy, of(2, 6), of(3, 7), of(2, 8)], {}, {}, NOW)) == [
        *(1, 2, 3),
        *(1, 2),
        *(1, 1, 1),
    ]


def test_a_project_with_fewer_running_tasks_is_first():
    assert projects(fair([of(1, 1), of(1, 2), of(2, 3)], {1: 1}, {}, NOW)) == [2, 1, 1]


def test_of_projects_alike_the_one_that_waits_longest_is_first():
    tasks = [of(1, 1), of(2, 2)]
    assert projects(fair(tasks, {}, {1: at(500)}, NOW)) == [2, 1]
    assert projects(fair(tasks, {}, {1: at(500), 2: at(600)}, NOW)) == [1, 2]


def test_a_project_that_asks_only_now_has_not_waited_since_its_last_turn():
    assert projects(fair([of(1, 100), of(2, 400)], {}, {1: at(300), 2: at(10)}, NOW)) == [1, 2]


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_over_many_passes_no_project_starves(slots: int):
    """One project floods, two others ask now and then; each waits at most a round."""
    turns: dict[int, datetime] = {}
    waiting = [of(1, seq) for seq in range(1, 200)] + [of(2, 200), of(3, 201)]
    order: list[int] = []
    for second in range(40):
        started = fair(waiting, {}, turns, at(1000 + second))[:slots]
        for found in started:
            waiting.remove(found)
            turns[found.request.project_id] = at(1000 + second)
            order.append(found.request.project_id)
        if second == 10:
            waiting.append(of(2, 300))
    assert set(order[: 3 * slots]) == {1, 2, 3}
    assert order.count(2) == 2
    again = len(order) - 1 - order[::-1].index(2)
    assert again < (10 + 3) * slots, "it asked again and had its turn soon"


def view(**given) -> View:
    tasks = [*given.get("open", ()), *given.get("rivals", ())]
    requests = {found.task_id: found.request for found in tasks}
    return View(**({"now": NOW, "requests": requests} | given))


def started(given: View) -> list[str]:
    return [action.task_id for action in plan(given) if isinstance(action, StartJob)]


def test_running_jobs_of_a_project_count_against_it():
    running, next_of_it, other = of(1, 1), of(1, 2), of(2, 3)
    given = view(open=(running, next_of_it, other), jobs=(job(running),), slots=2)
    assert started(given) == [other.task_id]


def test_slots_that_other_services_hold_for_a_project_count_against_it():
    theirs, ours, other = of(1, 1, "coding"), of(1, 2), of(2, 3)
    given = view(
        open=(ours, other),
        held=frozenset({theirs.task_id}),
        requests={found.task_id: found.request for found in (theirs, ours, other)},
        slots=2,
    )
    assert started(given) == [other.task_id]


def test_a_free_slot_is_left_to_another_services_task_whose_turn_it_is():
    ours, theirs = of(1, 5), of(2, 1, "coding")
    given = view(open=(ours,), rivals=(theirs,), slots=1)
    assert plan(given) == [LeaveSlot(task_id=theirs.task_id, kind="coding")]
    assert waits_for_others(given, plan(given))
    both = view(open=(ours,), rivals=(theirs,), slots=2)
    assert started(both) == [ours.task_id]


def test_a_rival_that_has_its_slot_needs_none():
    ours, theirs = of(1, 5), of(2, 1, "coding")
    given = view(open=(ours,), rivals=(theirs,), held=frozenset({theirs.task_id}), slots=2)
    assert started(given) == [ours.task_id]


def test_a_task_that_waits_for_another_services_slot_looks_again_soon():
    ours = of(1, 5)
    full = view(open=(ours,), held=frozenset({"coding-9"}), slots=1)
    assert waits_for_others(full, plan(full))
    on_hold = view(
        open=(ours,),
        held=frozenset({"coding-9"}),
        on_hold=frozenset({ours.task_id}),
    )
    assert not waits_for_others(on_hold, plan(on_hold))


def test_who_does_not_take_a_slot_left_to_him_is_passed_over_for_a_while():
    courtesy, now = Courtesy(), START
    courtesy.left({"coding"}, now)
    assert courtesy.is_due("coding", now + PATIENCE / 2)
    courtesy.left({"coding"}, now + PATIENCE / 2)
    assert not courtesy.is_due("coding", now + PATIENCE)
    courtesy.left(set(), now + PATIENCE)
    assert not courtesy.is_due("coding", now + ABSENCE)
    courtesy.left(set(), now + PATIENCE + ABSENCE)
    assert courtesy.is_due("coding", now + PATIENCE + ABSENCE)


def test_who_took_his_slot_in_time_is_waited_for_again():
    courtesy = Courtesy()
    courtesy.left({"coding"}, START)
    courtesy.left(set(), START + PATIENCE / 2)
    assert courtesy.is_due("coding", START + 2 * PATIENCE)


def test_a_clock_that_was_set_back_makes_nobody_absent():
    courtesy = Courtesy()
    courtesy.left({"coding"}, START)
    courtesy.left({"coding"}, START - timedelta(hours=1))
    assert courtesy.is_due("coding", START - timedelta(hours=1))


async def test_turns_are_seen_by_every_replica_and_end_after_a_day():
    clock = FakeClock()
    kv = MemoryKeyValue(clock)
    await Turns(kv).took(1, at(0))
    await Turns(kv).took(2, at(5))
    await Turns(kv).took(1, at(9))
    assert await Turns(kv).of([1, 2, 3]) == {1: at(9), 2: at(5)}
    clock.advance(TTL)
    assert await Turns(kv).of([1, 2, 3]) == {}


async def test_a_flood_of_one_project_lets_others_have_their_turn_across_restarts():
    world = World(slots=1)
    flood = [request(iid) for iid in range(1, 9)]
    for wanted in flood:
        await examples.requested(world.log, wanted)
    other = changed(request(90), project_id=43, scope="43")
    await examples.requested(world.log, other)
    seen: list[str] = []
    for _ in range(3):
        await world.reconciler().full_pass()
        [running] = world.running()
        seen.append(running)
        await examples.ended(world.log, next(w for w in [*flood, other] if w.task_id == running))
        world.clock.advance(20)
    assert seen == [flood[0].task_id, other.task_id, flood[1].task_id]


async def test_a_busy_service_leaves_the_next_slot_to_the_other():
    world = World(slots=1)
    reviews = [request(iid) for iid in (1, 2, 3)]
    coding = changed(request(90, "coding"), project_id=43, scope="43")
    for wanted in (*reviews, coding):
        await examples.requested(world.log, wanted)
    reviewer, coder = world.reconciler(), world.reconciler(kinds="coding")
    await reviewer.full_pass()
    assert world.running() == [reviews[0].task_id]
    await examples.ended(world.log, reviews[0])
    world.clock.advance(20)
    await reviewer.full_pass()
    assert world.running() == []
    await coder.full_pass()
    await reviewer.full_pass()
    assert world.running() == [coding.task_id]


async def test_a_service_that_is_down_costs_the_others_seconds():
    world = World(slots=1)
    coding = changed(request(90, "coding"), project_id=43, scope="43")
    for wanted in (coding, request(1)):
        await examples.requested(world.log, wanted)
    reviewer = world.reconciler()
    await reviewer.full_pass()
    assert world.running() == []
    world.clock.advance(PATIENCE.total_seconds())
    await reviewer.full_pass()
    assert world.running() == [request(1).task_id]


async def test_nothing_starts_for_a_merge_request_whose_older_job_could_not_be_cancelled():
    """One review runs at a time; an older Job of the same merge request may still be there."""
    world = World(slots=2)
    older, newer = request(7), changed(request(7), task_id=f"{request(7).task_id}-n99")
    policy = lambda tasks, _: {found.task_id: "newer head" for found in tasks[:-1]}  # noqa: E731
    await examples.requested(world.log, older)
    await world.reconciler(policy).full_pass()
    await examples.requested(world.log, newer)
    reconciler = world.reconciler(policy)
    world.launcher.fail_cancel = [Temporary("the machine is busy")]
    await reconciler.full_pass()
    assert world.running() == [older.task_id]
    await reconciler.full_pass()
    assert world.running() == [newer.task_id]
