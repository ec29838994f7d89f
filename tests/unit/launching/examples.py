"""Tasks, views and logs as launching sees them."""

from __future__ import annotations

from datetime import datetime, timedelta

from libs.common import subjects
from libs.common.events.envelope import AnyEvent, NewEvent
from libs.common.events.facts import MrOpened
from libs.common.events.log import EventLog
from libs.common.events.tasks import Limits, ReviewDone, TaskKind, TaskPublished, TaskRequested
from libs.common.launching.plan import OpenTask
from libs.common.launching.protocol import Job, Phase, job_name
from tests.fakes.clock import START
from tests.samples import review_request

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def request(iid: int = 7, kind: TaskKind = "review", expires_in: float = 3600) -> TaskRequested:
    head = f"{iid:040x}"
    return review_request(
        head,
        task_id=f"{kind}-42-{iid}-{head[:16]}-0",
        kind=kind,
        iid=iid,
        limits=Limits(timeout=600),
        expires_at=START + timedelta(seconds=expires_in),
        max_launches=2,
    )


def task(
    iid: int = 7, kind: TaskKind = "review", *, seq: int = 1, expires_in: float = 3600
) -> OpenTask:
    return OpenTask(request=request(iid, kind, expires_in), seq=seq, requested_at=START)


def job(of: OpenTask, phase: Phase = "running", reason: str = "", code: int | None = None) -> Job:
    return Job(job_name=of.job_name, task_id=of.task_id, phase=phase, reason=reason, exit_code=code)


def name_of(wanted: TaskRequested) -> str:
    return job_name(wanted.kind, wanted.task_id)


def done(wanted: TaskRequested) -> ReviewDone:
    return ReviewDone(task_id=wanted.task_id, head_sha=wanted.head_sha, summary="Fine.")


async def opened(log: EventLog, iid: int = 7, sha: str = "a" * 40) -> None:
    event = MrOpened(project_id=42, iid=iid, head_sha=sha, why="open")
    await _append(log, subjects.mr_opened(42, iid, sha), event, f"mr.opened-42-{iid}-{sha}")


async def requested(log: EventLog, wanted: TaskRequested) -> None:
    subject = subjects.task_requested(wanted.scope, wanted.ref, wanted.task_id)
    await _append(log, subject, wanted, wanted.task_id)


async def ended(log: EventLog, wanted: TaskRequested) -> None:
    subject = subjects.task_result(wanted.scope, wanted.ref, wanted.task_id)
    await _append(log, subject, done(wanted), f"{wanted.task_id}-result")


async def published(log: EventLog, wanted: TaskRequested) -> None:
    event = TaskPublished(task_id=wanted.task_id, outcome="posted")
    subject = subjects.task_published(wanted.scope, wanted.ref, wanted.task_id)
    await _append(log, subject, event, f"{wanted.task_id}-published")


async def _append(log: EventLog, subject: str, event: AnyEvent, message_id: str) -> None:
    time: datetime = START
    await log.append(
        NewEvent(
            subject=subject,
            event=event,
            message_id=message_id,
            source="test",
            time=time,
            traceparent=TRACE,
        )
    )
