"""The reconciler over a log, slots and Jobs in memory: passes, wakes, repeats and crashes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from libs.common import subjects, telemetry
from libs.common.errors import Temporary
from libs.common.events.envelope import Recorded
from libs.common.events.tasks import Superseded, TaskFailed
from libs.common.launching import token
from libs.common.launching.effects import DoorAddress, Effects, Ports
from libs.common.launching.histories import Histories
from libs.common.launching.launches import Attempts, Launches
from libs.common.launching.plan import OpenTask, StartJob
from libs.common.launching.protocol import Launch
from libs.common.launching.reconciler import Reconciler, debounce
from libs.common.launching.slots import Slots
from tests.fakes.launcher import FakeLauncher
from tests.unit.launching import examples
from tests.unit.launching.examples import TRACE, name_of, request
from tests.unit.launching.world import REVIEW, SECRET, World, again, newest_only, nothing


@pytest.fixture
def world() -> World:
    return World()


async def test_open_task_gets_its_job_with_a_token_for_it_and_the_trace(world: World):
    await examples.requested(world.log, REVIEW)
    await world.reconciler().full_pass()
    expiry = REVIEW.expires_at + timedelta(minutes=15)
    assert world.launcher.orders == [
        Launch(
            job_name=name_of(REVIEW),
            task_id=REVIEW.task_id,
            kind="review",
            task_url=f"http://127.0.0.1:8001/tasks/{REVIEW.task_id}",
            task_token=token.mint(SECRET, REVIEW.task_id, expiry),
            timeout=600,
            traceparent=world.launcher.orders[0].traceparent,
        )
    ]
    job = telemetry.trace_id(world.launcher.orders[0].traceparent)
    assert job == telemetry.trace_id(TRACE)
    assert token.verify(SECRET, REVIEW.task_id, world.launcher.orders[0].task_token, expiry)
    assert await world.held() == [REVIEW.task_id]


async def test_passing_again_changes_nothing(world: World):
    await examples.requested(world.log, REVIEW)
    reconciler = world.reconciler()
    for _ in range(3):
        await reconciler.full_pass()
    await world.reconciler().full_pass()
    assert len(world.launcher.orders) == 1


async def test_tasks_of_other_kinds_their_jobs_and_slots_are_left_alone(world: World):
    coding = request(8, "coding")
    await examples.requested(world.log, coding)
    await world.reconciler(kinds="coding").full_pass()
    await examples.ended(world.log, coding)
    await world.reconciler().full_pass()
    assert world.running() == [coding.task_id]
    assert await world.held() == [coding.task_id]


async def test_no_more_jobs_than_slots_over_all_services(world: World):
    for wanted in (request(1, "coding"), request(2), request(3)):
        await examples.requested(world.log, wanted)
    await world.reconciler(kinds="coding").full_pass()
    await world.reconciler().full_pass()
    assert world.running() == [request(1, "coding").task_id, request(2).task_id]


async def test_next_task_starts_when_one_ended_and_its_job_exited(world: World):
    first, second = request(1), request(2)
    world = World(slots=1)
    for wanted in (first, second):
        await examples.requested(world.log, wanted)
    reconciler = world.reconciler()
    await reconciler.full_pass()
    await examples.ended(world.log, first)
    world.launcher.exit(name_of(first), exit_code=0)
    await reconciler.woken_pass({subjects.task_result("42", "1", first.task_id)})
    assert world.running() == [second.task_id]
    assert list(world.launcher.running) == [name_of(second)]
    assert await world.held() == [second.task_id]


async def test_woken_pass_sees_a_new_request_and_no_other(world: World):
    reconciler = world.reconciler()
    await reconciler.full_pass()
    await examples.requested(world.log, request(1))
    await examples.requested(world.log, request(2))
    await reconciler.woken_pass({subjects.task_requested("42", "1", request(1).task_id)})
    assert world.running() == [request(1).task_id]


async def test_superseded_task_ends_and_its_job_is_cancelled(world: World):
    older, newer = REVIEW, again(REVIEW)
    await examples.requested(world.log, older)
    reconciler = world.reconciler(newest_only)
    await reconciler.full_pass()
    await examples.requested(world.log, newer)
    await reconciler.woken_pass({subjects.task_requested("42", "7", newer.task_id)})
    assert world.results() == [
        Superseded(task_id=older.task_id, head_sha=older.head_sha, by="newer head")
    ]
    assert world.running() == [newer.task_id]
    assert await world.held() == [newer.task_id]


async def test_policy_sees_each_merge_request_on_its_own_with_its_whole_history(world: World):
    seen: list[tuple[list[str], list[str]]] = []

    def policy(tasks: list[OpenTask], records: list[Recorded]) -> dict[str, str]:
        nouns = [record.subject.split(".")[0] for record in records]
        seen.append(([task.task_id for task in tasks], nouns))
        return {}

    for iid in (1, 2):
        await examples.opened(world.log, iid)
        await examples.requested(world.log, request(iid))
    await world.reconciler(policy).full_pass()
    assert sorted(seen) == [([request(iid).task_id], ["mr", "task"]) for iid in (1, 2)]


async def test_who_waits_for_whom_is_asked_with_histories_of_tasks_not_yet_published(world: World):
    first, second = request(1, "coding"), request(2, "coding")
    for wanted in (first, second):
        await examples.requested(world.log, wanted)
    await examples.ended(world.log, first)

    def hold(tasks: list[OpenTask], records: list[Recorded], started: set[str]) -> set[str]:
        assert started == set()
        published = any(record.subject.startswith("task.published.") for record in records)
        asked = [r.event.task_id for r in records if r.subject.startswith("task.requested.")]
        assert published or first.task_id in asked, "the one that ended is forgotten"
        return set() if published else {task.task_id for task in tasks}

    reconciler = world.reconciler(kinds="coding", hold=hold)
    for _ in range(2):
        await reconciler.full_pass()
        assert world.running() == []
    await examples.published(world.log, first)
    await reconciler.woken_pass({subjects.task_published("42", "1", first.task_id)})
    assert world.running() == [second.task_id]


async def test_whoever_holds_tasks_back_knows_which_were_started(world: World):
    seen: list[set[str]] = []

    def hold(_tasks: list[OpenTask], _records: list[Recorded], started: set[str]) -> set[str]:
        seen.append(started)
        return set()

    await examples.requested(world.log, REVIEW)
    for _ in range(2):
        await world.reconciler(hold=hold).full_pass()
    world.launcher.exit(name_of(REVIEW))
    await world.reconciler(hold=hold).full_pass()
    assert seen == [set(), {REVIEW.task_id}, {REVIEW.task_id}]


async def test_fact_about_a_merge_request_with_an_open_task_is_readagain(world: World):
    await examples.requested(world.log, REVIEW)
    closed = [False]

    def policy(tasks: list[OpenTask], records: list[Recorded]) -> dict[str, str]:
        closed[0] = any(record.subject.startswith("mr.") for record in records)
        return {task.task_id: "closed" for task in tasks if closed[0]}

    reconciler = world.reconciler(policy)
    await reconciler.full_pass()
    await examples.opened(world.log)
    await reconciler.woken_pass({subjects.mr_opened(42, 7, "a" * 40)})
    assert len(world.results()) == 1
    assert world.running() == []


async def test_end_follows_from_the_request_and_carries_its_trace(world: World):
    await examples.requested(world.log, request(7, expires_in=-1))
    await world.reconciler().full_pass()
    end = world.log.events[-1]
    assert (end.message_id, end.source) == (f"{REVIEW.task_id}-result", "reviewer")
    assert (end.causation_id, end.traceparent) == (REVIEW.task_id, TRACE)
    assert isinstance(end.event, TaskFailed)
    assert end.event.reason == "timeout"


async def test_job_that_keeps_crashing_is_launched_as_often_as_allowed_then_failed(world: World):
    await examples.requested(world.log, REVIEW)
    reconciler = world.reconciler()
    for _ in range(20):
        await reconciler.full_pass()
        for name in list(world.launcher.running):
            world.launcher.exit(name, "run failed", 70)
        world.clock.advance(20)
    assert len(world.launcher.orders) == REVIEW.max_launches
    detail = "no result after 2 launches; the last Job: run failed"
    assert world.results() == [
        TaskFailed(
            task_id=REVIEW.task_id, head_sha=REVIEW.head_sha, reason="internal", detail=detail
        )
    ]
    assert (world.launcher.running, await world.held()) == ({}, [])


async def test_result_that_came_just_in_time_stops_the_relaunch(world: World):
    await examples.requested(world.log, REVIEW)
    reconciler = world.reconciler()
    await reconciler.full_pass()
    world.launcher.exit(name_of(REVIEW))
    await reconciler.full_pass()
    world.clock.advance(60)
    # Nobody woke the reconciler, which still believes the task to be open.
    await examples.ended(world.log, REVIEW)
    await reconciler.woken_pass(set())
    assert len(world.launcher.orders) == 1


async def test_result_of_others_counts_when_ours_comes_second(world: World):
    late = request(7, expires_in=10)
    await examples.requested(world.log, late)
    reconciler = world.reconciler()
    await reconciler.full_pass()
    world.clock.advance(100)
    await examples.ended(world.log, late)
    await reconciler.woken_pass(set())
    await reconciler.full_pass()
    assert world.results() == [examples.done(late)]
    assert world.running() == []


async def test_launcher_that_is_away_costs_the_task_no_launch(world: World):
    await examples.requested(world.log, REVIEW)
    reconciler = world.reconciler()
    for _ in range(REVIEW.max_launches + 1):
        await world.reconciler(launcher=_AwayLauncher()).full_pass()
    await reconciler.full_pass()
    assert (await Launches(world.dedup).get(name_of(REVIEW))).count == 1
    assert world.running() == [REVIEW.task_id]


async def test_launch_that_happened_although_its_answer_was_lost_is_not_repeated(world: World):
    await examples.requested(world.log, REVIEW)
    world.launcher.fail_after_launch = [Temporary("no answer")]
    reconciler = world.reconciler()
    for _ in range(3):
        await reconciler.full_pass()
        world.clock.advance(60)
    assert (len(world.launcher.orders), world.running()) == (1, [REVIEW.task_id])
    assert await world.held() == [REVIEW.task_id]


class _AwayLauncher(FakeLauncher):
    async def launch(self, order: Launch) -> None:
        raise Temporary(f"cannot launch {order.job_name}")


async def test_replica_that_planned_the_same_launch_leaves_the_running_job_alone(world: World):
    await examples.requested(world.log, REVIEW)
    ports = Ports(
        log=world.log,
        launcher=world.launcher,
        slots=Slots(world.locks, 2),
        launches=Launches(world.dedup),
        clock=world.clock,
    )
    start = StartJob(task=examples.task(7), seen=Attempts(), timeout=600, replace=True)
    for _ in range(2):
        await Effects(ports, DoorAddress(url="http://door", secret=SECRET), "reviewer").do(start)
    assert (len(world.launcher.orders), world.launcher.cancelled) == (1, [])


async def test_what_woke_a_pass_that_failed_is_looked_at_by_the_next(world: World):
    reconciler = world.reconciler()
    await examples.requested(world.log, REVIEW)
    reconciler.wake(subjects.task_requested("42", "7", REVIEW.task_id))
    world.log.fail_next = [Temporary("nats is away")]
    done = [await reconciler._guarded_pass(full=False) for _ in range(2)]
    assert (done, world.running()) == ([False, True], [REVIEW.task_id])


async def test_fact_about_a_merge_request_without_open_task_is_forgotten_after_the_pass(
    world: World,
):
    await examples.opened(world.log)
    histories = Histories(world.log)
    await histories.look_at({subjects.mr_opened(42, 7, "a" * 40)})
    assert len(histories.by_place()) == 1
    histories.forget_ended()
    assert histories.by_place() == []


async def test_fact_that_another_replica_hears_ends_the_task_there(world: World):
    """Each event goes to one replica, and this one did not know of the task."""

    def policy(tasks: list[OpenTask], records: list[Recorded]) -> dict[str, str]:
        pushed = any(record.subject.startswith("mr.") for record in records)
        return {task.task_id: "newer head" for task in tasks if pushed}

    asker, other = world.reconciler(policy), world.reconciler(policy)
    await other.full_pass()
    await examples.requested(world.log, REVIEW)
    await asker.woken_pass({subjects.task_requested("42", "7", REVIEW.task_id)})
    assert world.running() == [REVIEW.task_id]

    await examples.opened(world.log)
    await other.woken_pass({subjects.mr_opened(42, 7, "a" * 40)})

    assert world.results() == [
        Superseded(task_id=REVIEW.task_id, head_sha=REVIEW.head_sha, by="newer head")
    ]
    assert world.running() == []
    assert await world.held() == []
    await asker.woken_pass(set())
    assert world.running() == [], "the asker, who was told nothing, starts it no more"


async def test_one_task_that_cannot_be_helped_does_not_stop_the_others(world: World):
    class Picky(FakeLauncher):
        async def launch(self, order: Launch) -> None:
            if order.task_id == request(1).task_id:
                raise ValueError("a bug")
            await super().launch(order)

    world.launcher = Picky()
    for iid in (1, 2):
        await examples.requested(world.log, request(iid))
    with capture_logs() as lines:
        await world.reconciler().full_pass()
    assert world.running() == [request(2).task_id]
    assert [line["task_id"] for line in lines if line["log_level"] == "error"] == [
        request(1).task_id
    ]


async def test_replicas_side_by_side_launch_once(world: World):
    for iid in (1, 2, 3):
        await examples.requested(world.log, request(iid))
    await asyncio.gather(*(world.reconciler().full_pass() for _ in range(4)))
    assert len(world.launcher.orders) == 2
    assert len(await world.held()) == 2


async def test_job_nobody_asked_for_is_cancelled_after_a_while(world: World):
    await examples.requested(world.log, REVIEW)
    await world.reconciler().full_pass()
    world.log.events.clear()
    reconciler = world.reconciler()
    await reconciler.full_pass()
    assert world.running() == [REVIEW.task_id]
    world.clock.advance(120)
    await reconciler.full_pass()
    assert world.running() == []


async def test_progress_is_told_in_three_lines(world: World):
    last = request(7, expires_in=50)
    await examples.requested(world.log, last)
    reconciler = world.reconciler()
    with capture_logs() as lines:
        await reconciler.full_pass()
        world.launcher.exit(name_of(last), "run failed", 70)
        await reconciler.full_pass()
        world.clock.advance(60)
        await reconciler.full_pass()
    names = {"task_id": last.task_id, "project_id": 42, "iid": 7}
    repairs = lines.pop()
    assert (repairs["event"], repairs["overdue_task"]) == ("repaired", 1)
    assert [line["event"] for line in lines] == ["job started", "job ended", "task ended"]
    assert all(line.items() >= names.items() for line in lines)
    assert SECRET not in str(lines)


@asynccontextmanager
async def looping(reconciler: Reconciler) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    loop = asyncio.create_task(reconciler.run(stopping))
    yield
    stopping.set()
    async with asyncio.timeout(5):
        await loop


async def until(condition: Callable[[], object], what: str) -> None:
    try:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110  any state of any fake, none of which signals
                await asyncio.sleep(0)
    except TimeoutError:
        pytest.fail(f"it did not happen: {what}")


async def test_running_loop_starts_what_was_open_and_what_it_is_woken_for(world: World):
    await examples.requested(world.log, request(1))
    reconciler = world.reconciler()
    async with looping(reconciler):
        await until(lambda: len(world.running()) == 1, "the first Job started")
        await examples.requested(world.log, request(2))
        reconciler.wake(subjects.task_requested("42", "2", request(2).task_id))
        await until(lambda: len(world.running()) == 2, "the second Job started")


async def test_running_loop_survives_a_log_that_is_away_and_a_bug(world: World):
    wanted = request(1)

    def policy(tasks: list[OpenTask], _records: list[Recorded]) -> dict[str, str]:
        if world.log.events[-1].subject.startswith("mr."):
            raise ValueError("a bug")
        return nothing(tasks, [])

    reconciler = world.reconciler(policy)
    async with looping(reconciler):
        await examples.requested(world.log, wanted)
        await until(lambda: not world.log.fail_next, "the first pass")
        world.log.fail_next = [Temporary("nats is away")]
        reconciler.wake(subjects.task_requested("42", "1", wanted.task_id))
        await until(lambda: not world.log.fail_next, "the log was asked while away")
        await examples.opened(world.log, 1)
        reconciler.wake(subjects.mr_opened(42, 1, "a" * 40))
        await asyncio.sleep(0)
        await examples.requested(world.log, request(2))
        reconciler.wake(subjects.task_requested("42", "2", request(2).task_id))
        await until(lambda: len(world.running()) == 2, "both Jobs run")


async def test_strange_subjects_are_no_reason_to_stop(world: World):
    reconciler = world.reconciler()
    async with looping(reconciler):
        for subject in ("nonsense", "", "retry.reviewer.x", "a.b.c.d.e.f.g"):
            reconciler.wake(subject)
        await examples.requested(world.log, REVIEW)
        reconciler.wake(subjects.task_requested("42", "7", REVIEW.task_id))
        await until(world.running, "the Job started")


@pytest.mark.parametrize(("took", "waits"), [(0.001, 0.02), (0.05, 0.05), (3.0, 0.1)])
def test_a_wake_waits_for_more_as_long_as_a_pass_takes_within_bounds(took, waits):
    assert waits == debounce(took)
