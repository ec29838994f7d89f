"""What to do so that Jobs match the log: a pure function of what was seen, called each pass.

Rules: `docs/architecture.md`, launching. A task has one request and one end, so a task without an
end needs a Job, and one with an end needs none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

import msgspec

from libs.common.errors import cut
from libs.common.events.tasks import FailureReason, Superseded, TaskFailed, TaskRequested
from libs.common.launching import exits
from libs.common.launching.fairness import fair
from libs.common.launching.launches import Attempts
from libs.common.launching.protocol import Job, job_name

EXIT_GRACE = timedelta(seconds=5)
"""A Job that exited may have handed in a result that is still on its way to us."""
LAUNCH_GRACE = timedelta(seconds=30)
"""After a counted attempt: another replica may be about to launch; also the pause between two."""
DEADLINE_GRACE = timedelta(seconds=30)
"""A Job that keeps its own deadline ends by then and says why."""
END_GRACE = timedelta(seconds=10)
"""A Job whose result is in may tidy up and exit by itself."""
REMOVE_GRACE = timedelta(seconds=10)
"""How long an exited Job is left to the replica that launched it, which judges it sooner."""
UNKNOWN_GRACE = timedelta(seconds=120)
"""How long a Job must have had no request in the log before it counts as nobody's."""


class OpenTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task without an end; `seq` and `requested_at` are its request's place in the log."""

    request: TaskRequested
    seq: int
    requested_at: datetime
    message_id: str = ""
    traceparent: str = ""

    @property
    def task_id(self) -> str:
        return self.request.task_id

    @property
    def job_name(self) -> str:
        return job_name(self.request.kind, self.task_id)


class EndedTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task with an end; `wanted` is False when it was superseded and its Job is a waste."""

    request: TaskRequested
    ended_at: datetime
    wanted: bool = True


class View(msgspec.Struct, frozen=True, kw_only=True):
    """All that a plan depends on, for the kinds of one reconciler.

    `ended` covers at least the tasks that still have a Job or a slot. `verdicts` says by task id
    why it is superseded, `on_hold` are the tasks that must not start yet. `exited_since` and
    `unknown_since` say by Job name since when. `rivals` are tasks of other services that wait for a
    slot, `requests` all requests known by task id, `turns` by project_id when it last got a slot.
    """

    now: datetime
    open: tuple[OpenTask, ...] = ()
    ended: Mapping[str, EndedTask] = msgspec.field(default_factory=dict)
    jobs: tuple[Job, ...] = ()
    attempts: Mapping[str, Attempts] = msgspec.field(default_factory=dict)
    verdicts: Mapping[str, str] = msgspec.field(default_factory=dict)
    held: frozenset[str] = frozenset()
    on_hold: frozenset[str] = frozenset()
    slots: int = 1
    exited_since: Mapping[str, datetime] = msgspec.field(default_factory=dict)
    unknown_since: Mapping[str, datetime] = msgspec.field(default_factory=dict)
    rivals: tuple[OpenTask, ...] = ()
    requests: Mapping[str, TaskRequested] = msgspec.field(default_factory=dict)
    turns: Mapping[int, datetime] = msgspec.field(default_factory=dict)
    _by_name: dict[str, Job] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        self._by_name.update((job.job_name, job) for job in self.jobs)

    def job_of(self, task: OpenTask) -> Job | None:
        return self._by_name.get(task.job_name)

    def just_exited(self, job: Job) -> bool:
        return self._exited_within(EXIT_GRACE, job)

    def just_tried(self, task: OpenTask) -> bool:
        at = self.attempts.get(task.job_name, Attempts()).at
        return at is not None and _within(LAUNCH_GRACE, at, self.now)

    def is_left_to_another(self, job: Job) -> bool:
        """Whether the replica that launched it is about to remove it: one call, not one each."""
        is_others = job.phase == "exited" and not job.launched_here
        return is_others and self._exited_within(REMOVE_GRACE, job)

    def _exited_within(self, grace: timedelta, job: Job) -> bool:
        return _within(grace, self.exited_since.get(job.job_name, self.now), self.now)


class StartJob(msgspec.Struct, frozen=True, kw_only=True):
    """Launch the Job of `task`; `replace` when an exited one of that name is to be forgotten."""

    task: OpenTask
    seen: Attempts
    timeout: int
    replace: bool = False

    @property
    def task_id(self) -> str:
        return self.task.task_id


class EndTask(msgspec.Struct, frozen=True, kw_only=True):
    """Append the end of `task`, unless it has one by now."""

    task: OpenTask
    result: TaskFailed | Superseded

    @property
    def task_id(self) -> str:
        return self.task.task_id


class CancelJob(msgspec.Struct, frozen=True, kw_only=True):
    """End the Job if it runs, and forget it."""

    task_id: str
    job_name: str
    running: bool = False


class FreeSlot(msgspec.Struct, frozen=True, kw_only=True):
    """Give back the slot of a task that ended."""

    task_id: str


class RenewSlot(msgspec.Struct, frozen=True, kw_only=True):
    """Keep the slot of a task whose Job runs; one that was lost is taken again where there is."""

    task_id: str


class LeaveSlot(msgspec.Struct, frozen=True, kw_only=True):
    """A free slot is for a task of another service, whose turn it is."""

    task_id: str
    kind: str


Action = StartJob | EndTask | CancelJob | FreeSlot | RenewSlot | LeaveSlot


def plan(view: View) -> list[Action]:
    """Actions in the order to do them: what frees slots comes before what takes them."""
    ending: list[Action] = []
    waiting: list[OpenTask] = []
    for task in sorted(view.open, key=lambda task: task.seq):
        result = _end_of(task, view)
        if result:
            ending += [EndTask(task=task, result=result), *_clear(task.task_id, view)]
        elif _has_job(task, view):
            ending.append(RenewSlot(task_id=task.task_id))
        elif _may_start(task, view):
            waiting.append(task)
    for task_id, ended in view.ended.items():
        if not _may_finish(task_id, ended, view):
            ending += _clear(task_id, view)
    ending += _unknown(view)
    return [*ending, *_starts(waiting, ending, view)]


def _may_start(task: OpenTask, view: View) -> bool:
    """Not while it is held or just tried; never when its end is already decided (no launches)."""
    held = task.task_id in view.on_hold or task.request.max_launches == 0
    return not held and not view.just_tried(task)


def is_settling(view: View) -> bool:
    """Whether a plan made a few seconds later would say more."""
    exits_open = any(
        (job := view.job_of(task)) is not None and job.phase == "exited" for task in view.open
    )
    left = any(view.is_left_to_another(job) for job in view.jobs)
    return (
        exits_open
        or left
        or any(_may_finish(task_id, end, view) for task_id, end in view.ended.items())
    )


def waits_for_others(view: View, actions: Iterable[Action]) -> bool:
    """Whether a task waits for a slot of another service: nobody tells us when that is free."""
    actions = list(actions)
    ours = {*view.ended, *(task.task_id for task in view.open)}
    started = {action.task_id for action in actions if isinstance(action, StartJob | EndTask)}
    waiting = any(
        task.task_id not in view.on_hold | started and not _has_job(task, view)
        for task in view.open
    )
    left = any(isinstance(action, LeaveSlot) for action in actions)
    return waiting and (left or bool(view.held - ours))


def _end_of(task: OpenTask, view: View) -> TaskFailed | Superseded | None:
    verdict = view.verdicts.get(task.task_id)
    if verdict is not None:
        return Superseded(task_id=task.task_id, head_sha=task.request.head_sha, by=verdict)
    job = view.job_of(task)
    found = _overdue(task, view) if job and job.phase == "running" else _failure(task, job, view)
    if found is None:
        return None
    reason, detail = found
    return TaskFailed(
        task_id=task.task_id, head_sha=task.request.head_sha, reason=reason, detail=cut(detail)
    )


def _overdue(task: OpenTask, view: View) -> tuple[FailureReason, str] | None:
    if view.now < task.request.expires_at + DEADLINE_GRACE:
        return None
    return "timeout", "the Job was still running after the task's deadline"


def _failure(task: OpenTask, job: Job | None, view: View) -> tuple[FailureReason, str] | None:
    """Why a task without a running Job is beyond help; None when there is hope."""
    if job and view.just_exited(job):
        return None
    if job and exits.is_final(job):
        return exits.failure_reason(job), job.reason
    last = f"; the last Job: {job.reason}" if job else ""
    if view.now >= task.request.expires_at:
        return "timeout", f"no result before the task's deadline{last}"
    attempts = view.attempts.get(task.job_name, Attempts())
    if task.request.max_launches == 0:
        return None  # whoever asked is about to append its end
    if attempts.count >= task.request.max_launches and not view.just_tried(task):
        reason: FailureReason = exits.failure_reason(job) if job else "launch"
        return reason, f"no result after {attempts.count} launches{last}"
    return None


def _has_job(task: OpenTask, view: View) -> bool:
    job = view.job_of(task)
    return job is not None and (job.phase == "running" or view.just_exited(job))


def _may_finish(task_id: str, ended: EndedTask, view: View) -> bool:
    runs = any(job.task_id == task_id and job.phase == "running" for job in view.jobs)
    return runs and ended.wanted and _within(END_GRACE, ended.ended_at, view.now)


def _clear(task_id: str, view: View) -> Iterator[Action]:
    for job in view.jobs:
        if job.task_id == task_id and not view.is_left_to_another(job):
            yield _cancel(job)
    if task_id in view.held:
        yield FreeSlot(task_id=task_id)


def _cancel(job: Job) -> CancelJob:
    running = job.phase == "running"
    return CancelJob(task_id=job.task_id, job_name=job.job_name, running=running)


def _unknown(view: View) -> Iterator[Action]:
    for job in view.jobs:
        since = view.unknown_since.get(job.job_name)
        if since is not None and view.now - since >= UNKNOWN_GRACE:
            yield _cancel(job)


def _starts(waiting: list[OpenTask], before: list[Action], view: View) -> Iterator[Action]:
    freed = {action.task_id for action in before if isinstance(action, FreeSlot)}
    held = view.held - freed
    # A running Job whose slot expired takes one as well.
    running = {action.task_id for action in before if isinstance(action, RenewSlot)}
    free = view.slots - len(held | running)
    yield from (_start(task, view) for task in waiting if task.task_id in held)
    if free <= 0:
        return
    rivals = [task for task in view.rivals if task.task_id not in held]
    asking = [task for task in waiting if task.task_id not in held]
    load = _by_project(held | running, view)
    for task in fair([*asking, *rivals], load, view.turns, view.now)[:free]:
        if task in rivals:
            yield LeaveSlot(task_id=task.task_id, kind=task.request.kind)
        else:
            yield _start(task, view)


def _start(task: OpenTask, view: View) -> StartJob:
    left = int((task.request.expires_at - view.now).total_seconds())
    return StartJob(
        task=task,
        seen=view.attempts.get(task.job_name, Attempts()),
        timeout=max(1, min(task.request.limits.timeout, left)),
        replace=view.job_of(task) is not None,
    )


def _by_project(task_ids: Iterable[str], view: View) -> Counter[int]:
    known = (view.requests.get(task_id) for task_id in task_ids)
    return Counter(request.project_id for request in known if request is not None)


def _within(grace: timedelta, since: datetime, now: datetime) -> bool:
    """Also by a clock that was set back or differs: what lies far ahead is as long ago."""
    return abs(now - since) < grace
