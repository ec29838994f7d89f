"""What the coder does with an event: load, decide, append. Wired in `wiring`."""

from __future__ import annotations

from libs.common import budgets, subjects
from libs.common.events.envelope import Recorded
from libs.common.events.facts import JiraReady, NoteCommand
from libs.common.events.tasks import ChangesProposed, Result, TaskPublished
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
            await budgets.count_use(event, result, ports)
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
