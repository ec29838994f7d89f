"""Tells the person that a task failed: one short note, updated and not repeated.

Called by `handlers` for `TaskFailed`.
"""

from __future__ import annotations

import msgspec

from libs.common.events.envelope import Recorded
from libs.common.events.tasks import TaskFailed, TaskRequested, Write
from services.publisher import plan
from services.publisher.ports import Ports
from services.publisher.records import outcome, published_already, record_published
from services.publisher.render import failure_body
from services.publisher.reviews import look, look_again, put_note


async def publish_failure(result: Recorded, request: TaskRequested, *, ports: Ports) -> None:
    """Write or update the notice, unless the merge request moved on."""
    assert isinstance(result.event, TaskFailed)  # noqa: S101  # narrowed by the caller
    if await published_already(request, ports):
        return
    async with ports.alone(request) as alone:
        why = plan.outdated(request, await look_again(request, alone))
        if why is not None:
            await record_published(outcome(request, "superseded", why), result, request, alone)
            return
        found = await look(request, alone)
        body = failure_body(result.event, request)
        note_id = await put_note(found.notice, body, request, alone)
        url = f"{request.web_url}#note_{note_id}"
        event = msgspec.structs.replace(
            outcome(request, "failed", result.event.reason),
            summary_note_id=note_id,
            web_url=url,
            writes=(Write(what="note", id=str(note_id), web_url=url),),
        )
        await record_published(event, result, request, alone)
