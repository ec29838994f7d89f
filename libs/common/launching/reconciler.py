"""Makes Jobs match the log: every open task has one, no ended task keeps one.

Runs in each service that decides tasks, on every replica: create-once ends, launches by name and
counted attempts make a second replica harmless. Level-triggered: what was missed while down, or
failed in one pass, is seen by the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from libs.common import metrics
from libs.common.clock import Clock
from libs.common.errors import AgentError, Permanent
from libs.common.events.envelope import Recorded
from libs.common.events.log import EventLog
from libs.common.events.tasks import TaskRequested
from libs.common.launching.effects import DoorAddress, Effects, Ports, who
from libs.common.launching.endings import Endings
from libs.common.launching.fairness import Courtesy
from libs.common.launching.histories import Histories, Place, ended_tasks, open_tasks
from libs.common.launching.launches import Launches
from libs.common.launching.plan import (
    Action,
    CancelJob,
    LeaveSlot,
    OpenTask,
    StartJob,
    View,
    is_settling,
    plan,
    waits_for_others,
)
from libs.common.launching.protocol import Job, Launcher, job_name
from libs.common.launching.slots import Slots
from libs.common.launching.sweeping import Sweeper, repaired
from libs.common.subjects import scope_and_ref

Policy = Callable[[list[OpenTask], list[Recorded]], dict[str, str]]
"""Open tasks and the history of one merge request or issue, to task id and why it is superseded."""
Hold = Callable[[list[OpenTask], list[Recorded], set[str]], set[str]]
"""All open tasks, all histories known and the ids of open tasks that were ever started, to the ids
of those that must not start yet."""
SlotFreed = Callable[[Callable[[], None]], Awaitable[None]]
"""Has its argument called whenever a slot comes free, as far as it is noticed."""
JobsChanged = Callable[[Callable[[], None]], None]
"""Has its argument called whenever a Job ended or went by itself, as far as it is noticed."""

FULL_PASS_SECONDS = 30.0
SETTLING_SECONDS = 2.0
RETRY_SECONDS = 5.0
DEBOUNCE_SECONDS = (0.02, 0.1)
"""Least and most that a wake waits for more: a Job should start at once, a burst be one pass."""
log = structlog.get_logger()


@dataclass(kw_only=True)
class Reconciler:
    """One per service; `run` until told to stop, `wake` on every append to `task.*` and `mr.*`.

    `kinds` are the tasks it is responsible for, `source` names it in the events it appends.
    """

    log: EventLog
    launcher: Launcher
    slots: Slots
    launches: Launches
    clock: Clock
    kinds: frozenset[str]
    source: str
    policy: Policy
    door: DoorAddress
    hold: Hold | None = None
    """Who waits for whom; with one, histories of coding tasks stay known until published."""
    every: float = FULL_PASS_SECONDS
    """Seconds between full passes, jittered by a fifth."""
    slot_freed: SlotFreed | None = None
    """Without it a task that waits for a slot of another service looks every two seconds."""
    jobs_changed: JobsChanged | None = None
    """Without it a Job that ended without a result is seen by the next full pass."""
    sweeper: Sweeper | None = None
    """Runs beside the passes and removes what nobody needs any more."""

    _woken: set[str] = field(default_factory=set, init=False)
    _event: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _exited_since: dict[str, datetime] = field(default_factory=dict, init=False)
    _unknown_since: dict[str, datetime] = field(default_factory=dict, init=False)
    _courtesy: Courtesy = field(default_factory=Courtesy, init=False)
    _settling: bool = field(default=False, init=False)
    _waits: bool = field(default=False, init=False)
    """For a slot that another service has."""
    _took: float = field(default=0.0, init=False)
    """Seconds of the last pass."""

    def __post_init__(self) -> None:
        self._histories = Histories(self.log, until_published=self.hold is not None)
        ports = Ports(
            log=self.log,
            launcher=self.launcher,
            slots=self.slots,
            launches=self.launches,
            clock=self.clock,
        )
        self._effects = Effects(ports, self.door, self.source)
        self._endings = Endings(self._event.set)

    def wake(self, subject: str) -> None:
        """Something was appended to `subject`: look at what it belongs to soon."""
        with contextlib.suppress(Permanent):
            scope_and_ref(subject)
            self._woken.add(subject)
            self._event.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Pass after pass until `stopping`; a failed pass is logged and made again."""
        sweeping = asyncio.create_task(self.sweeper.run(stopping)) if self.sweeper else None
        try:
            if self.jobs_changed is not None:
                self.jobs_changed(self._event.set)
            if self.slot_freed is not None:
                with contextlib.suppress(AgentError):
                    await self.slot_freed(self._look_for_slot)
            await self._passes(stopping)
        finally:
            await self._endings.close()
            if sweeping is not None:
                sweeping.cancel()
                await asyncio.gather(sweeping, return_exceptions=True)

    def _look_for_slot(self) -> None:
        if self._waits:
            self._event.set()

    async def _passes(self, stopping: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        full_at = loop.time()
        while not stopping.is_set():
            began = loop.time()
            full = began >= full_at
            done = await self._guarded_pass(full=full)
            self._took = loop.time() - began
            if full or not done:
                full_at = loop.time() + _jittered(self.every if done else RETRY_SECONDS)
            wait = full_at - loop.time()
            await self._pause(stopping, min(wait, SETTLING_SECONDS) if self._settling else wait)

    async def full_pass(self) -> None:
        """Look at the whole log, then act; raises what reading raises."""
        await self._histories.look_everywhere()
        await self._act()

    async def woken_pass(self, woken: set[str]) -> None:
        """Look only at the open tasks known and at what these subjects belong to, then act."""
        await self._histories.look_at(woken)
        await self._act()

    async def _guarded_pass(self, *, full: bool) -> bool:
        woken = set(self._woken)
        self._woken.clear()
        self._event.clear()
        try:
            await (self.full_pass() if full else self.woken_pass(woken))
        except AgentError as error:
            log.warning("reconciling failed, it is tried again", why=str(error))
        except Exception:
            log.exception("reconciling failed, it is tried again")
        else:
            return True
        self._woken |= woken
        return False

    async def _pause(self, stopping: asyncio.Event, seconds: float) -> None:
        """Until somebody wakes us or `seconds` have passed; a burst of wakes is one."""
        waits = [asyncio.create_task(event.wait()) for event in (stopping, self._event)]
        try:
            await asyncio.wait(waits, timeout=max(seconds, 0), return_when=asyncio.FIRST_COMPLETED)
            if self._event.is_set() and not stopping.is_set():
                await asyncio.wait(waits[:1], timeout=debounce(self._took))
        finally:
            for wait in waits:
                wait.cancel()

    async def _act(self) -> None:
        view = await self._view()
        metrics.gauge("tasks_open", len(view.open))
        metrics.gauge("slots_in_use", len(view.held))
        actions = plan(view)
        starts = [action for action in actions if isinstance(action, StartJob)]
        left = [action for action in actions if isinstance(action, LeaveSlot)]
        done = await self._clear([a for a in actions if not isinstance(a, StartJob)])
        done += await self._start(starts, stuck=_stuck(actions, done, view))
        self._courtesy.left((action.kind for action in left), view.now)
        self._waits = waits_for_others(view, actions)
        self._settling = self._waits or is_settling(view)
        self._histories.forget_ended()
        _tell(Counter(what for action in done if (what := repaired(action, view.requests))))

    async def _clear(self, actions: list[Action]) -> list[Action]:
        """What ends tasks and frees slots, all tasks at once; returns what was done.

        At once because a Job may take seconds to end, and others must not wait for their signal.
        """
        tasks: dict[str, list[Action]] = {}
        for action in actions:
            tasks.setdefault(action.task_id, []).append(action)
        done = await asyncio.gather(*(self._in_order(some) for some in tasks.values()))
        return [action for some in done for action in some]

    async def _in_order(self, actions: list[Action]) -> list[Action]:
        """Up to the first that fails: what follows for the same task builds on it."""
        done: list[Action] = []
        for action in actions:
            if not await self._did(action):
                break
            done.append(action)
        return done

    async def _start(self, starts: list[StartJob], *, stuck: set[Place]) -> list[Action]:
        """One Job after the other, until something else needs attention; returns what was done."""
        done: list[Action] = []
        for start in starts:
            if _place(start) in stuck:
                continue
            if await self._did(start):
                done.append(start)
            if self._event.is_set():
                # A newer head may want a Job cancelled: the next pass comes at once, with the rest.
                break
        return done

    async def _did(self, action: Action) -> bool:
        try:
            if isinstance(action, CancelJob):
                return await self._endings.end(action.job_name, lambda: self._effects.do(action))
            await self._effects.do(action)
        except AgentError as error:
            log.warning(
                "action failed", action=_name(action), task_id=action.task_id, why=str(error)
            )
        except Exception:
            log.exception("action failed", action=_name(action), task_id=action.task_id)
        else:
            return True
        return False

    async def _view(self) -> View:
        """What there is; attempts before Jobs, so that a count is never newer than its Job."""
        places = self._histories.by_place()
        found = [record for records in places for record in records]
        now, every_task = self.clock.now(), open_tasks(found)
        tasks = [task for task in every_task if task.request.kind in self.kinds]
        counted = await asyncio.gather(*(self.launches.get(task.job_name) for task in tasks))
        attempts = {task.job_name: tries for task, tries in zip(tasks, counted, strict=True)}
        started = {task.task_id for task in tasks if attempts[task.job_name].count}
        on_hold = self.hold(tasks, found, started) if self.hold else set()
        held = await self.slots.held()
        jobs = [job for job in await self.launcher.jobs() if self._is_ours(job)]
        rivals = [task for task in every_task if self._is_rival(task, now)]
        others = {*held, *(job.task_id for job in jobs)} - {task.task_id for task in tasks}
        found += await self._histories.of_tasks(others)
        ended = ended_tasks(found, self.kinds)
        requests = [record.event for record in found if isinstance(record.event, TaskRequested)]
        known = {request.task_id: request for request in requests}
        self._notice(jobs, known)
        return View(
            now=now,
            open=tuple(tasks),
            ended={task_id: end for task_id, end in ended.items() if task_id in others},
            jobs=tuple(jobs),
            attempts=attempts,
            verdicts=self._verdicts(places),
            held=frozenset(held),
            on_hold=frozenset(on_hold),
            slots=self.slots.count,
            exited_since=self._exited_since,
            unknown_since=self._unknown_since,
            rivals=tuple(rivals),
            requests=known,
            turns=await self._turns([*tasks, *rivals]),
        )

    async def _turns(self, tasks: list[OpenTask]) -> dict[int, datetime]:
        projects = {task.request.project_id for task in tasks}
        return await self.launches.turns.of(projects) if len(projects) > 1 else {}

    def _is_rival(self, task: OpenTask, now: datetime) -> bool:
        """Whether a task of another service may be waiting for a slot."""
        request = task.request
        if request.kind in self.kinds or not request.max_launches or now >= request.expires_at:
            return False
        return self._courtesy.is_due(request.kind, now)

    def _verdicts(self, places: list[list[Recorded]]) -> dict[str, str]:
        verdicts: dict[str, str] = {}
        for records in places:
            if tasks := open_tasks(records, self.kinds):
                verdicts |= self.policy(tasks, records)
        return verdicts

    def _notice(self, jobs: list[Job], known: dict[str, TaskRequested]) -> None:
        """Remember since when a Job has been exited, or of a task that nobody knows."""
        now = self.clock.now()
        exited = {job.job_name: job for job in jobs if job.phase == "exited"}
        for name in exited.keys() - self._exited_since.keys():
            job = exited[name]
            names = who(known[job.task_id]) if job.task_id in known else {"task_id": job.task_id}
            log.info("job ended", job=name, why=job.reason, exit_code=job.exit_code, **names)
        unknown = {job.job_name for job in jobs if job.task_id not in known}
        # Never ahead of now, where a clock that was set back would leave them.
        self._exited_since = {name: min(self._exited_since.get(name, now), now) for name in exited}
        self._unknown_since = {
            name: min(self._unknown_since.get(name, now), now) for name in unknown
        }

    def _is_ours(self, job: Job) -> bool:
        return any(job.job_name == job_name(kind, job.task_id) for kind in self.kinds)


def debounce(took: float) -> float:
    """Seconds that a wake waits for more: as long as the last pass took, within bounds."""
    least, most = DEBOUNCE_SECONDS
    return min(max(took, least), most)


def _stuck(actions: list[Action], done: list[Action], view: View) -> set[Place]:
    """Merge requests and issues with a Job that was to be cancelled and may still run.

    Nothing starts for them: one review runs at a time.
    """
    left = [action for action in actions if isinstance(action, CancelJob) and action not in done]
    requests = (view.requests.get(action.task_id) for action in left)
    return {(request.scope, request.ref) for request in requests if request is not None}


def _place(start: StartJob) -> Place:
    return start.task.request.scope, start.task.request.ref


def _tell(repairs: Counter[str]) -> None:
    for what, number in repairs.items():
        metrics.count("swept", number, what=what)
    if repairs:
        log.info("repaired", **repairs)


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311  spreads load, guards nothing


def _name(action: Action) -> str:
    return type(action).__name__
