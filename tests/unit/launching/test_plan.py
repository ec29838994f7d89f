"""Every rule of the launching plan: given this view, exactly these actions."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import pytest

from libs.common.events.tasks import FailureReason, Superseded, TaskFailed
from libs.common.launching import exits
from libs.common.launching.contract import ExitCode
from libs.common.launching.launches import Attempts
from libs.common.launching.plan import (
    CancelJob,
    EndedTask,
    EndTask,
    FreeSlot,
    OpenTask,
    RenewSlot,
    StartJob,
    View,
    is_settling,
    plan,
)
from libs.common.launching.protocol import Job
from tests.fakes.clock import START
from tests.unit.launching.examples import job, task

LONG_AGO = START - timedelta(hours=1)
TASK = task()
NEVER = Attempts()
LAST = Attempts(count=2, at=LONG_AGO, revision=5)


def ago(seconds: float) -> datetime:
    return START - timedelta(seconds=seconds)


def view(**given) -> View:
    return View(**({"now": START, "open": (TASK,)} | given))


def without_launches(of: OpenTask) -> OpenTask:
    request = msgspec.structs.replace(of.request, max_launches=0)
    return msgspec.structs.replace(of, request=request)


def exited(of: OpenTask = TASK, code: int | None = 70, reason: str = "run crashed") -> Job:
    return job(of, "exited", reason, code)


def exited_view(found: Job, since: float = 60, **given) -> View:
    return view(jobs=(found,), exited_since={found.job_name: ago(since)}, **given)


def start(of: OpenTask = TASK, seen: Attempts = NEVER, **given) -> StartJob:
    return StartJob(task=of, seen=seen, timeout=600, **given)


def failed(reason: FailureReason, detail: str, of: OpenTask = TASK) -> EndTask:
    sha = of.request.head_sha
    result = TaskFailed(task_id=of.task_id, head_sha=sha, reason=reason, detail=detail)
    return EndTask(task=of, result=result)


def cancel(found: Job) -> CancelJob:
    running = found.phase == "running"
    return CancelJob(task_id=found.task_id, job_name=found.job_name, running=running)


def ended_view(at: float, *, wanted: bool = True, **given) -> View:
    end = EndedTask(request=TASK.request, ended_at=ago(at), wanted=wanted)
    return view(open=(), ended={TASK.task_id: end}, **given)


def test_nothing_open_needs_nothing():
    assert plan(view(open=())) == []


def test_open_task_without_job_is_started():
    assert plan(view()) == [start()]


def test_job_gets_no_more_time_than_is_left_until_the_deadline():
    late = task(expires_in=90)
    assert plan(view(open=(late,))) == [StartJob(task=late, seen=NEVER, timeout=90)]


def test_open_task_waits_while_all_slots_are_held():
    assert plan(view(held=frozenset({"other"}))) == []


def test_task_that_holds_its_slot_already_is_started_without_a_free_one():
    assert plan(view(held=frozenset({TASK.task_id}))) == [start()]


def test_oldest_requests_start_first_and_only_as_many_as_slots():
    first, second, third = task(1, seq=4), task(2, seq=5), task(3, seq=6)
    assert plan(view(open=(third, first, second), slots=2)) == [start(first), start(second)]


def test_task_on_hold_does_not_start_and_leaves_its_slot_to_the_next():
    first, second = task(1, seq=4), task(2, seq=5)
    held = frozenset({first.task_id})
    assert plan(view(open=(first, second), on_hold=held)) == [start(second)]


def test_task_on_hold_ends_at_its_deadline_and_by_a_verdict_like_any_other():
    late, closed = task(1, expires_in=-1), task(2, seq=2)
    held = frozenset({late.task_id, closed.task_id})
    actions = plan(view(open=(late, closed), on_hold=held, verdicts={closed.task_id: "closed"}))
    assert [late.task_id, closed.task_id] == [action.task_id for action in actions]
    assert all(isinstance(action, EndTask) for action in actions)


def test_task_without_launches_is_left_alone_until_its_deadline():
    """Whoever asked for it appends its end; a pass in between must not say that it failed."""
    refused, late = without_launches(task(1)), without_launches(task(2, expires_in=-1))
    [action] = plan(view(open=(refused, late)))
    assert late.task_id == action.task_id
    assert isinstance(action, EndTask)


def test_running_job_keeps_its_slot():
    assert plan(view(jobs=(job(TASK),), held=frozenset({TASK.task_id}))) == [
        RenewSlot(task_id=TASK.task_id)
    ]


def test_running_job_whose_slot_expired_leaves_no_room_for_another():
    waiting = task(8, seq=2)
    assert plan(view(open=(TASK, waiting), jobs=(job(TASK),))) == [RenewSlot(task_id=TASK.task_id)]


def test_freshly_counted_attempt_without_job_is_left_to_whoever_counted():
    attempts = {TASK.job_name: Attempts(count=1, at=ago(5), revision=3)}
    assert plan(view(attempts=attempts)) == []


def test_counted_attempt_that_never_became_a_job_is_made_again():
    seen = Attempts(count=1, at=ago(31), revision=3)
    assert plan(view(attempts={TASK.job_name: seen})) == [start(seen=seen)]


def test_job_that_just_exited_is_not_judged_yet():
    assert plan(exited_view(exited(), since=4)) == [RenewSlot(task_id=TASK.task_id)]


def test_exited_job_without_result_is_launched_again_while_launches_remain():
    seen = Attempts(count=1, at=LONG_AGO, revision=3)
    assert plan(exited_view(exited(), attempts={TASK.job_name: seen})) == [
        start(seen=seen, replace=True)
    ]


def test_exited_job_is_not_replaced_right_after_a_counted_attempt():
    seen = Attempts(count=1, at=ago(5), revision=3)
    assert plan(exited_view(exited(), attempts={TASK.job_name: seen})) == []


def test_last_launch_without_result_ends_the_task_and_clears_up():
    found = exited()
    given = exited_view(found, attempts={TASK.job_name: LAST}, held=frozenset({TASK.task_id}))
    assert plan(given) == [
        failed("internal", "no result after 2 launches; the last Job: run crashed"),
        cancel(found),
        FreeSlot(task_id=TASK.task_id),
    ]


def test_exited_job_of_another_replica_is_left_to_it_for_some_seconds():
    found = msgspec.structs.replace(exited(code=0), launched_here=False)
    seen = {"jobs": (found,), "held": frozenset({TASK.task_id})}
    fresh = ended_view(1, exited_since={found.job_name: ago(9)}, **seen)
    left = ended_view(11, exited_since={found.job_name: ago(10)}, **seen)
    assert plan(fresh) == [FreeSlot(task_id=TASK.task_id)]
    assert is_settling(fresh)
    assert plan(left) == [cancel(found), FreeSlot(task_id=TASK.task_id)]
    assert not is_settling(left)


def test_running_job_of_another_replica_is_cancelled_by_whoever_sees_first_that_it_is_a_waste():
    found = msgspec.structs.replace(job(TASK), launched_here=False)
    assert plan(ended_view(0, wanted=False, jobs=(found,))) == [cancel(found)]


def test_last_launch_that_is_gone_ends_the_task():
    assert plan(view(attempts={TASK.job_name: LAST})) == [
        failed("launch", "no result after 2 launches")
    ]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (ExitCode.DONE, "no_result"),
        (ExitCode.RESULT_REFUSED, "no_result"),
        (ExitCode.NO_TASK_DOOR, "launch"),
        (ExitCode.TASK_FAILED, "clone"),
        (ExitCode.INTERNAL, "internal"),
        (137, "launch"),
        (None, "launch"),
    ],
)
def test_exit_code_of_the_last_job_names_the_failure(code, reason):
    found = exited(code=code)
    assert plan(exited_view(found, attempts={TASK.job_name: LAST})) == [
        failed(reason, "no result after 2 launches; the last Job: run crashed"),
        cancel(found),
    ]


@pytest.mark.parametrize(
    ("code", "reason"), [(exits.DEADLINE, "timeout"), (ExitCode.WRONG_SETTINGS, "launch")]
)
def test_exit_that_would_only_repeat_itself_is_not_launched_again(code, reason):
    found = exited(code=code, reason="run was ended")
    assert plan(exited_view(found)) == [failed(reason, "run was ended"), cancel(found)]


def test_task_past_its_deadline_is_not_launched_any_more():
    late = task(expires_in=0)
    assert plan(view(open=(late,))) == [
        failed("timeout", "no result before the task's deadline", late)
    ]


def test_exited_job_past_the_deadline_ends_the_task_with_its_reason():
    late = task(expires_in=0)
    found = exited(late)
    assert plan(exited_view(found, open=(late,))) == [
        failed("timeout", "no result before the task's deadline; the last Job: run crashed", late),
        cancel(found),
    ]


def test_job_running_shortly_past_the_deadline_may_end_by_itself():
    late = task(expires_in=-29)
    assert plan(view(open=(late,), jobs=(job(late),))) == [RenewSlot(task_id=late.task_id)]


def test_job_running_long_past_the_deadline_is_cancelled():
    late = task(expires_in=-30)
    assert plan(view(open=(late,), jobs=(job(late),))) == [
        failed("timeout", "the Job was still running after the task's deadline", late),
        cancel(job(late)),
    ]


def test_detail_of_a_failure_is_one_short_line():
    found = exited(code=exits.DEADLINE, reason="x\n" * 1000)
    end = plan(exited_view(found))[0]
    assert isinstance(end, EndTask)
    assert isinstance(end.result, TaskFailed)
    assert ("\n" in end.result.detail, len(end.result.detail)) == (False, 256)


def test_superseded_task_ends_and_its_job_is_cancelled():
    given = view(
        jobs=(job(TASK),), held=frozenset({TASK.task_id}), verdicts={TASK.task_id: "head abc"}
    )
    result = Superseded(task_id=TASK.task_id, head_sha=TASK.request.head_sha, by="head abc")
    assert plan(given) == [
        EndTask(task=TASK, result=result),
        cancel(job(TASK)),
        FreeSlot(task_id=TASK.task_id),
    ]


def test_superseded_beats_failed():
    late = task(expires_in=0)
    end = plan(view(open=(late,), verdicts={late.task_id: "closed"}))[0]
    assert isinstance(end, EndTask)
    assert isinstance(end.result, Superseded)


def test_slot_of_a_superseded_task_goes_to_the_next_in_the_same_pass():
    waiting = task(8, seq=2)
    given = view(
        open=(TASK, waiting), held=frozenset({TASK.task_id}), verdicts={TASK.task_id: "closed"}
    )
    assert plan(given)[-2:] == [FreeSlot(task_id=TASK.task_id), start(waiting)]


def test_job_of_an_ended_task_may_tidy_up_for_a_moment():
    assert plan(ended_view(9, jobs=(job(TASK),), held=frozenset({TASK.task_id}))) == []


def test_job_that_outlives_its_tasks_end_is_cancelled():
    assert plan(ended_view(10, jobs=(job(TASK),), held=frozenset({TASK.task_id}))) == [
        cancel(job(TASK)),
        FreeSlot(task_id=TASK.task_id),
    ]


def test_job_of_a_superseded_task_is_cancelled_at_once():
    assert plan(ended_view(0, wanted=False, jobs=(job(TASK),))) == [cancel(job(TASK))]


def test_exited_job_of_an_ended_task_is_forgotten():
    assert plan(ended_view(0, jobs=(exited(),))) == [cancel(exited())]


def test_slot_of_an_ended_task_without_job_is_freed():
    assert plan(ended_view(0, held=frozenset({TASK.task_id}))) == [FreeSlot(task_id=TASK.task_id)]


@pytest.mark.parametrize(("unknown_for", "actions"), [(119, []), (120, [cancel(job(TASK))])])
def test_job_without_any_request_is_cancelled_only_after_a_while(unknown_for, actions):
    since = {TASK.job_name: ago(unknown_for)}
    assert plan(view(open=(), jobs=(job(TASK),), unknown_since=since)) == actions


def test_waiting_without_a_slot_does_not_keep_a_task_from_its_deadline():
    late = task(expires_in=-1)
    given = view(open=(late,), held=frozenset({"other"}))
    assert plan(given) == [failed("timeout", "no result before the task's deadline", late)]


def test_a_clock_that_was_set_back_keeps_nothing_waiting():
    ahead = ago(-3600)
    seen = Attempts(count=1, at=ahead, revision=3)
    assert plan(view(attempts={TASK.job_name: seen})) == [start(seen=seen)]
    end = EndedTask(request=TASK.request, ended_at=ahead)
    assert plan(view(open=(), ended={TASK.task_id: end}, jobs=(job(TASK),))) == [cancel(job(TASK))]


def test_a_clock_that_differs_by_seconds_is_borne():
    seen = Attempts(count=1, at=ago(-5), revision=3)
    assert plan(view(attempts={TASK.job_name: seen})) == []


def test_a_clock_that_jumped_past_the_deadline_ends_the_task_in_words():
    late = view(now=START + timedelta(days=1), jobs=(job(TASK),))
    assert plan(late) == [
        failed("timeout", "the Job was still running after the task's deadline"),
        cancel(job(TASK)),
    ]


def test_slots_of_tasks_that_are_not_ours_are_left_alone():
    assert plan(view(open=(), held=frozenset({"coding-42-7-n1"}))) == []


@pytest.mark.parametrize(
    ("given", "settling"),
    [
        (view(), False),
        (view(jobs=(job(TASK),)), False),
        (exited_view(exited(), since=0), True),
        (ended_view(1, jobs=(job(TASK),)), True),
        (ended_view(1), False),
    ],
)
def test_it_looks_again_soon_only_while_something_is_settling(given, settling):
    assert is_settling(given) is settling
