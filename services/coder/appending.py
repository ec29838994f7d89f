"""Appends requests and ends, each created once. Called by everything that decides here."""

from __future__ import annotations

import structlog

from libs.common import subjects, telemetry
from libs.common.events.envelope import NewEvent, Recorded
from libs.common.events.tasks import Answered, Refused, Superseded, TaskRequested
from libs.common.launching.ended import count_end
from services.coder.ports import Ports
from services.coder.refusing import Refusal

log = structlog.get_logger()
SOURCE = "coder"


async def request(wanted: TaskRequested, cause: Recorded, ports: Ports) -> TaskRequested:
    """Append the request, or find the one that is there already; what counts is returned."""
    attributes = {"gca.task_id": wanted.task_id}
    with telemetry.span("request task", attributes=attributes) as span:
        created = await ports.log.create(
            NewEvent(
                subject=subjects.task_requested(wanted.scope, wanted.ref, wanted.task_id),
                event=wanted,
                message_id=f"{wanted.task_id}-requested",
                source=SOURCE,
                time=ports.clock.now(),
                causation_id=cause.message_id,
                traceparent=span.traceparent,
            )
        )
    what = "task requested" if created.first else "task was requested already"
    log.info(what, task_id=wanted.task_id, head_sha=wanted.head_sha)
    event = created.record.event
    return event if isinstance(event, TaskRequested) else wanted


async def end(
    wanted: TaskRequested, result: Refused | Answered | Superseded, cause: Recorded, ports: Ports
) -> bool:
    """Append the end of a task, unless it has one; whether the end that counts is this one."""
    created = await ports.log.create(
        NewEvent(
            subject=subjects.task_result(wanted.scope, wanted.ref, wanted.task_id),
            event=result,
            message_id=f"{wanted.task_id}-result",
            source=SOURCE,
            time=ports.clock.now(),
            causation_id=cause.message_id,
            traceparent=telemetry.current(),
        )
    )
    if created.first:
        count_end(wanted.kind, result)
        why = result.code if isinstance(result, Refused) else ""
        log.info("task ended", task_id=wanted.task_id, result=type(result).__name__, why=why)
    ports.wake(created.record.subject)
    return created.record.event == result


def refused(wanted: TaskRequested, refusal: Refusal, *, quiet: bool = False) -> Refused:
    return Refused(
        task_id=wanted.task_id,
        head_sha=wanted.head_sha,
        code=refusal.code,
        needed=refusal.needed,
        detail=refusal.detail,
        quiet=quiet,
    )


async def refuse(
    wanted: TaskRequested, refusal: Refusal, cause: Recorded, ports: Ports, *, quiet: bool = False
) -> None:
    """A request that never starts, and its end: both are in the history, and people are told."""
    appended = await request(wanted, cause, ports)
    if appended.max_launches:
        return  # somebody else decided otherwise, and it began
    await end(appended, refused(appended, refusal, quiet=quiet), cause, ports)


async def is_settled(scope: int | str, ref: int | str, task_id: str, ports: Ports) -> bool:
    """Whether it was decided before: the task may start, or it has its end."""
    asked = await ports.log.last(subjects.task_requested(scope, ref, task_id))
    if asked is None or not isinstance(asked.event, TaskRequested):
        return False
    if asked.event.max_launches:
        return True
    return await ports.log.last(subjects.task_result(scope, ref, task_id)) is not None
