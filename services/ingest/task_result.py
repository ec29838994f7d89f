"""Whether a result may end its task: pure, from its bytes and the task's request (SR-22).

Called by `task_door` before anything is appended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from libs.common.errors import AgentError, cut
from libs.common.events.tasks import Echoed, ReviewDone, TaskFailed, TaskKind, TaskRequested

LARGEST: Mapping[TaskKind, int] = {
    "review": 2 * 1024 * 1024,
    "ask": 2 * 1024 * 1024,
    "coding": 2 * 1024 * 1024,
    "echo": 64 * 1024,
}
"""Bytes that a result of each kind may have."""

Accepted = ReviewDone | TaskFailed | Echoed
_DECODERS: Mapping[TaskKind, msgspec.json.Decoder[Any]] = {
    "review": msgspec.json.Decoder(ReviewDone | TaskFailed),
    "ask": msgspec.json.Decoder(TaskFailed),
    "coding": msgspec.json.Decoder(TaskFailed),
    "echo": msgspec.json.Decoder(Echoed | TaskFailed),
}
"""What a Job may say; ends such as `Superseded` are for services to write."""


class Unfit(AgentError):
    """The result does not fit the task; its text says why in words for the Job's log."""


def fitting(body: bytes, request: TaskRequested) -> Accepted:
    """The result in `body`; raises `Unfit`."""
    try:
        result: Accepted = _DECODERS[request.kind].decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        why = cut(str(error))
        raise Unfit(f"not a result that a {request.kind} task can end with: {why}") from None
    if result.task_id != request.task_id:
        raise Unfit("the result names another task")
    if result.head_sha != request.head_sha:
        raise Unfit("the result is for another head than the task")
    most = request.limits.max_findings
    if isinstance(result, ReviewDone) and len(result.findings) > most:
        raise Unfit(f"the result has more than {most} findings")
    return result
