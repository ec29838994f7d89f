"""What the coder does with an event: load, decide, append. Wired in `wiring`."""

from __future__ import annotations

from libs.common import subjects
from libs.common.events.envelope import Recorded
from libs.common.events.facts import JiraReady, NoteCommand
from libs.common.events.tasks import (
    Answered,
    ChangesProposed,
    NothingToDo,
    Result,
    TaskFailed,
    TaskPublished,
    TaskRequested,
)
from services.coder.advancing import advance
from services.coder.commanding import on_note
from services.coder.issues import on_ready
from services.coder.ports import Ports

KINDS = ("coding", "ask")


async def on_event(event: Recorded, *, ports: Ports) -> None:
    """Serve a command or an issue; after an end, see to the next task of the branch."""
    ports.wake(event.subject)
    match event.event:
        case NoteCommand() as note:
            await on_note(event, note, ports)
        case JiraReady() as ready:
            await on_ready(event, ready, ports)
        case Result(task_id=task_id) as result if _is_ours(task_id):
            await _count_use(event, result, ports)
            if not isinstance(result, ChangesProposed):
                await _next(event, task_id, ports)
        case TaskPublished(task_id=task_id) if _is_ours(task_id):
            await _next(event, task_id, ports)
        case _:
            pass


def _is_ours(task_id: str) -> bool:
    return task_id.startswith(tuple(f"{kind}-" for kind in KINDS))


async def _next(event: Recorded, task_id: str, ports: Ports) -> None:
    if task_id.startswith("coding-"):
        await advance(*subjects.scope_and_ref(event.subject), event, ports)


async def _count_use(event: Recorded, result: Result, ports: Ports) -> None:
    """Take what the session used from the project's budgets of this hour (SR-43)."""
    tokens, seconds = _use(result)
    if not tokens and not seconds:
        return
    scope, ref = subjects.scope_and_ref(event.subject)
    request = await ports.log.last(subjects.task_requested(scope, ref, result.task_id))
    if request is not None and isinstance(request.event, TaskRequested):
        await ports.spending.used(
            result.task_id, request.event.project_id, (tokens, seconds), event.time
        )


def _use(result: Result) -> tuple[int, float]:
    """Tokens, and seconds of clone and session together, as the Job says."""
    tokens, seconds = 0, 0.0
    if isinstance(result, ChangesProposed | Answered | NothingToDo):
        tokens = max(result.usage.input_tokens, 0) + max(result.usage.output_tokens, 0)
        seconds = result.usage.seconds
    if isinstance(result, ChangesProposed | Answered | NothingToDo | TaskFailed):
        seconds = max(seconds, sum(result.stages.values()))
    return tokens, max(seconds, 0.0)
