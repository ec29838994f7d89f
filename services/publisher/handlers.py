"""What the publisher does with an event: a task becomes what people see in GitLab and Jira."""

from __future__ import annotations

from libs.common import subjects, telemetry
from libs.common.errors import Permanent
from libs.common.events.envelope import Recorded
from libs.common.events.tasks import (
    Answered,
    ChangesProposed,
    NothingToDo,
    Refused,
    ReviewDone,
    Superseded,
    TaskFailed,
    TaskRequested,
)
from services.publisher.commands import publish_end
from services.publisher.failures import publish_failure
from services.publisher.ports import Ports
from services.publisher.records import outcome, published_already, record_published
from services.publisher.reviews import publish_review
from services.publisher.starts import show_start


async def on_event(event: Recorded, *, ports: Ports) -> None:
    """Route by the kind of event; facts are not ours."""
    if subjects.scope_and_ref(event.subject) == subjects.DOCTOR:
        return  # the end of an echo has no place in GitLab
    match event.event:
        case TaskRequested() as request:
            with telemetry.span("show start"):
                await show_start(request, ports=ports)
        case ReviewDone():
            with telemetry.span("publish review"):
                await publish_review(event, await _request(event, ports), ports=ports)
        case TaskFailed() | Superseded():
            await _without_review(event, await _request(event, ports), ports)
        case ChangesProposed() | Answered() | NothingToDo() | Refused():
            with telemetry.span("publish answer"):
                await publish_end(event, await _request(event, ports), ports=ports)
        case _:
            pass


async def _without_review(event: Recorded, request: TaskRequested, ports: Ports) -> None:
    """A failure, or work that nobody needs any more: who asked is told in person."""
    if request.asked_in is not None or request.issue is not None:
        with telemetry.span("publish answer"):
            await publish_end(event, request, ports=ports)
    elif isinstance(event.event, Superseded):
        if not await published_already(request, ports):
            by = event.event.by
            await record_published(outcome(request, "superseded", by), event, request, ports)
    else:
        with telemetry.span("publish failure"):
            await publish_failure(event, request, ports=ports)


async def _request(result: Recorded, ports: Ports) -> TaskRequested:
    """The request that this result answers: targets come from it, never from the result."""
    scope, ref = subjects.scope_and_ref(result.subject)
    task_id = subjects.last_token(result.subject)
    record = await ports.log.last(subjects.task_requested(scope, ref, task_id))
    if record is None or not isinstance(record.event, TaskRequested):
        raise Permanent(f"the log has no request for task {task_id}; nothing can be published")
    return record.event
