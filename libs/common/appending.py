"""Appends requests and ends, each created once. Called by the services that request tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec
import structlog

from libs.common import subjects, telemetry
from libs.common.clock import Clock
from libs.common.events.envelope import NewEvent, Recorded
from libs.common.events.log import EventLog
from libs.common.events.tasks import (
    Answered,
    Refused,
    RefusedCode,
    Superseded,
    TaskRequested,
)
from libs.common.launching.ended import count_end

log = structlog.get_logger()


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why nothing is done: the code chooses the words; `needed` is a role, `detail` for operators.

    `quiet`: the person was told the same not long ago.
    """

    code: RefusedCode
    needed: str = ""
    detail: str = ""
    quiet: bool = False


ASK_AGAIN = Refusal(code="moved", detail="it could be decided only after a while")
"""It was to be refused when a process died; why is not known any more."""


class Ports(Protocol):
    """What appending touches; the ports of the service that asks."""

    @property
    def log(self) -> EventLog: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def source(self) -> str:
        """The service's name."""

    @property
    def wake(self) -> Callable[[str], None]:
        """Tells the reconciler that something about this subject changed."""


async def request(wanted: TaskRequested, cause: Recorded, ports: Ports) -> TaskRequested:
    """Append the request, or find the one that is there already; what counts is returned."""
    attributes = {"gca.task_id": wanted.task_id}
    with telemetry.span(f"request {wanted.kind}", attributes=attributes) as span:
        created = await ports.log.create(
            NewEvent(
                subject=subjects.task_requested(wanted.scope, wanted.ref, wanted.task_id),
                event=wanted,
                message_id=f"{wanted.task_id}-requested",
                source=ports.source,
                time=ports.clock.now(),
                causation_id=cause.message_id,
                traceparent=span.traceparent,
            )
        )
    what = "task requested" if created.first else "task was requested already"
    log.info(what, task_id=wanted.task_id, head_sha=wanted.head_sha)
    event = created.record.event
    return event if isinstance(event, TaskRequested) else wanted


async def begin(wanted: TaskRequested, cause: Recorded, ports: Ports) -> None:
    """Append the request that a Job is for."""
    appended = await request(wanted, cause, ports)
    if not appended.max_launches:
        await end(appended, refused(appended, ASK_AGAIN), cause, ports)
    ports.wake(subjects.task_requested(wanted.scope, wanted.ref, wanted.task_id))


async def end(
    wanted: TaskRequested, result: Refused | Answered | Superseded, cause: Recorded, ports: Ports
) -> bool:
    """Append the end of a task, unless it has one; whether the end that counts is this one."""
    created = await ports.log.create(
        NewEvent(
            subject=subjects.task_result(wanted.scope, wanted.ref, wanted.task_id),
            event=result,
            message_id=f"{wanted.task_id}-result",
            source=ports.source,
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


async def refuse(wanted: TaskRequested, refusal: Refusal, cause: Recorded, ports: Ports) -> None:
    """A request that never starts, and its end: both are in the history, and people are told."""
    appended = await request(wanted, cause, ports)
    if appended.max_launches:
        return  # somebody else decided otherwise, and it began
    await end(appended, refused(appended, refusal), cause, ports)


def refused(wanted: TaskRequested, refusal: Refusal) -> Refused:
    return Refused(
        task_id=wanted.task_id,
        head_sha=wanted.head_sha,
        code=refusal.code,
        needed=refusal.needed,
        detail=refusal.detail,
        quiet=refusal.quiet,
    )
