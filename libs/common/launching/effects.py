"""Does what `plan` said: one function per action, each harmless when done twice.

Called by the reconciler only. A crash between any two effects is healed by the next pass.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from libs.common import metrics, subjects, telemetry
from libs.common.clock import Clock
from libs.common.errors import Temporary
from libs.common.events.envelope import NewEvent
from libs.common.events.log import EventLog
from libs.common.events.tasks import Superseded, TaskFailed, TaskRequested
from libs.common.launching import token
from libs.common.launching.ended import count_end
from libs.common.launching.launches import Launches
from libs.common.launching.plan import (
    Action,
    CancelJob,
    EndTask,
    FreeSlot,
    LeaveSlot,
    OpenTask,
    RenewSlot,
    StartJob,
)
from libs.common.launching.protocol import Launch, Launcher
from libs.common.launching.slots import Slots

TOKEN_LIFE = timedelta(minutes=15)
"""How long after the task's deadline its Job may still hand in the result."""
log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class DoorAddress:
    """Where Jobs fetch their task, and the secret that their tokens are made with."""

    url: str
    secret: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Ports:
    """What a reconciler acts through."""

    log: EventLog
    launcher: Launcher
    slots: Slots
    launches: Launches
    clock: Clock


class Effects:
    """Acts on the log, the slots, the counts and the launcher; every action may raise."""

    def __init__(self, ports: Ports, door: DoorAddress, source: str) -> None:
        self._ports = ports
        self._door = door
        self._source = source

    async def do(self, action: Action) -> None:
        match action:
            case StartJob():
                await self._start(action)
            case EndTask():
                await self._end(action)
            case CancelJob():
                await self._cancel(action)
            case FreeSlot():
                await self._ports.slots.free(action.task_id)
            case RenewSlot():
                await self._renew(action.task_id)
            case LeaveSlot():
                pass

    async def _start(self, start: StartJob) -> None:
        """Slot, count, Job, in this order: a crash leaves a slot too many, never a Job too many."""
        task, ports = start.task, self._ports
        if await ports.log.last(result_subject(task)) is not None:
            return
        if not await ports.slots.take(task.task_id):
            return
        await ports.launches.turns.took(task.request.project_id, ports.clock.now())
        mine = await ports.launches.add(task.job_name, start.seen, ports.clock.now())
        if mine is None:
            return
        try:
            if start.replace:
                await ports.launcher.cancel(task.job_name)
            with telemetry.span(
                "start job",
                parent=task.traceparent,
                attributes={"gca.task_id": task.task_id, "gca.job": task.job_name},
            ):
                await ports.launcher.launch(self._order(start))
        except Temporary:
            # The launcher is away, which is not the task's fault.
            await ports.launches.take_back(task.job_name, mine, start.seen)
            raise
        metrics.count("jobs_started", kind=task.request.kind)
        log.info("job started", job=task.job_name, launch=mine.count, **who(task.request))

    async def _end(self, end: EndTask) -> None:
        task = end.task
        created = await self._ports.log.create(
            NewEvent(
                subject=result_subject(task),
                event=end.result,
                message_id=f"{task.task_id}-result",
                source=self._source,
                time=self._ports.clock.now(),
                causation_id=task.message_id,
                traceparent=task.traceparent,
            )
        )
        if created.first:
            count_end(task.request.kind, end.result)
            log.info("task ended", **_words(end.result), **who(task.request))

    async def _cancel(self, cancel: CancelJob) -> None:
        await self._ports.launcher.cancel(cancel.job_name)
        if cancel.running:
            why = "nobody needs it any more"
            log.info("job ended", job=cancel.job_name, why=why, task_id=cancel.task_id)

    async def _renew(self, task_id: str) -> None:
        slots = self._ports.slots
        if not await slots.renew(task_id) and not await slots.take(task_id):
            log.warning("a job runs without a slot", task_id=task_id)

    def _order(self, start: StartJob) -> Launch:
        task, request = start.task, start.task.request
        return Launch(
            job_name=task.job_name,
            task_id=task.task_id,
            kind=request.kind,
            task_url=f"{self._door.url.rstrip('/')}/tasks/{task.task_id}",
            task_token=token.mint(self._door.secret, task.task_id, request.expires_at + TOKEN_LIFE),
            timeout=start.timeout,
            traceparent=telemetry.current(),
        )


def who(request: TaskRequested) -> dict[str, object]:
    """Fields that name a task in every log line about it."""
    return {"task_id": request.task_id, "project_id": request.project_id, "iid": request.iid}


def _words(result: TaskFailed | Superseded) -> dict[str, str]:
    if isinstance(result, TaskFailed):
        return {"outcome": "failed", "reason": result.reason, "detail": result.detail}
    return {"outcome": "superseded", "by": result.by}


def result_subject(task: OpenTask) -> str:
    return subjects.task_result(task.request.scope, task.request.ref, task.task_id)
