"""What the publisher does with an event: the end of a task becomes what people see in GitLab."""

from __future__ import annotations

from libs.common import subjects, telemetry
from libs.common.errors import Permanent
from libs.common.events.envelope import Recorded
from libs.common.events.tasks import ReviewDone, Superseded, TaskFailed, TaskRequested
from services.publisher.failures import publish_failure
from services.publisher.ports import Ports
from services.publisher.records import outcome, published_already, record_published
from services.publisher.reviews import publish_review


async def on_event(event: Recorded, *, ports: Ports) -> None:
    """Route by the kind of end; everything that is not an end of a task is not ours."""
    if subjects.scope_and_ref(event.subject) == subjects.DOCTOR:
        return  # the end of an echo has no place in GitLab
    match event.event:
        case ReviewDone():
            with telemetry.span("publish review"):
                await publish_review(event, await _request(event, ports), ports=ports)
        case TaskFailed():
            with telemetry.span("publish failure"):
                await publish_failure(event, await _request(event, ports), ports=ports)
        case Superseded(by=by):
            request = await _request(event, ports)
            if not await published_already(request, ports):
                await record_published(outcome(request, "superseded", by), event, request, ports)
        case _:
            pass


async def _request(result: Recorded, ports: Ports) -> TaskRequested:
    """The request that this result answers: targets come from it, never from the result."""
    scope, ref = subjects.scope_and_ref(result.subject)
    task_id = subjects.last_token(result.subject)
    record = await ports.log.last(subjects.task_requested(scope, ref, task_id))
    if record is None or not isinstance(record.event, TaskRequested):
        raise Permanent(f"the log has no request for task {task_id}; nothing can be published")
    return record.event
