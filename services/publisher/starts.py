"""What shows that work has begun: eyes on the note, the issue in progress.

Called by `handlers` for `TaskRequested`. Niceties: none of them stops the task.
"""

from __future__ import annotations

import structlog

from libs.common import subjects
from libs.common.events.tasks import Refused, Superseded, TaskRequested, Write
from services.publisher.issues import move
from services.publisher.ports import Ports
from services.publisher.records import audit, published_already
from services.publisher.threads import EYES, NOT_TAKEN, missed

log = structlog.get_logger()


async def show_start(request: TaskRequested, *, ports: Ports) -> None:
    """Nothing for tasks nobody asked for, refused ones, and those that are done with."""
    if request.max_launches == 0 or (request.asked_in is None and request.issue is None):
        return
    if await _is_over(request, ports):
        return
    async with ports.alone(request) as alone:
        # Again, under the lease: the end of this very task takes the eyes away.
        if await _is_over(request, alone):
            return
        if request.issue is not None:
            writes = await move(alone.rules.in_progress, request, alone)
        else:
            writes = await _open_eyes(request, alone)
        audit(writes, request)


async def _is_over(request: TaskRequested, ports: Ports) -> bool:
    """An end leaves nothing to show; but from here an issue may still have to be in progress."""
    subject = subjects.task_result(request.scope, request.ref, request.task_id)
    end = await ports.log.last(subject)
    if end is None:
        return False
    left = isinstance(end.event, Refused | Superseded)
    return left or request.issue is None or await published_already(request, ports)


async def _open_eyes(request: TaskRequested, ports: Ports) -> list[Write]:
    assert request.asked_in is not None  # noqa: S101  # narrowed by the caller
    try:
        award = await ports.gitlab.award(
            request.project_id, request.iid, request.asked_in.note_id, EYES
        )
    except NOT_TAKEN as error:
        missed("emoji", error, request)
        return []
    return [Write(what="emoji", id=str(award.id))] if award else []
