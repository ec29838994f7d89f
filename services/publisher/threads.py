"""One reply per task in the thread where it was asked for, and the emoji on the note that asked.

Called by `commands`, `starts` and `reviews`, under the merge request's lease. Every step looks at
what is there, so that it is harmless the second time.
"""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from libs.common import metrics
from libs.common.events.tasks import AskedIn, Refused, Result, TaskRequested, Write
from libs.common.gitlab.errors import Conflict, Forbidden, Invalid, NotFound
from libs.common.gitlab.models import Note
from services.publisher.markers import Marker, read_markers
from services.publisher.ports import Ports
from services.publisher.replies import REPLY, Reply, reply_body

EYES, CHECK, CROSS = "eyes", "white_check_mark", "x"
NOT_TAKEN = (Conflict, Forbidden, Invalid, NotFound)
"""What a nicety may be answered with; no task stops for it."""
log = structlog.get_logger()


def missed(what: str, error: Exception, request: TaskRequested) -> None:
    """Something besides the work itself did not go: counted and logged, no more."""
    metrics.count("effects_missed", what=what, reason=type(error).__name__)
    log.warning("effect missed", what=what, task_id=request.task_id, why=str(error))


async def tell(reply: Reply, request: TaskRequested, ports: Ports) -> list[Write]:
    """The reply, and the emoji that goes with its outcome."""
    note = await say(reply, request, ports)
    emoji = await settle(CHECK if reply.outcome == "posted" else CROSS, request, ports)
    return [*note, *emoji]


def stays_in_thread(result: Result) -> bool:
    """What is said of an internal note is said where it stands or nowhere (SR-10)."""
    return isinstance(result, Refused) and result.code == "internal_note"


async def say(
    reply: Reply, request: TaskRequested, ports: Ports, *, only_there: bool = False
) -> list[Write]:
    """Our one reply: written, or brought up to date; a plain note when the thread is gone.

    Nothing when the merge request is gone, too, or when `only_there` and the thread is.
    """
    body = reply_body(reply, request)
    note = await _in_thread(body, request, ports)
    if note is None and not only_there:
        note = await _beside(body, request, ports)
    if note is None:
        log.info("nobody left to tell", task_id=request.task_id)
        return []
    return [Write(what="note", id=str(note.id), web_url=f"{request.web_url}#note_{note.id}")]


async def settle(name: str, request: TaskRequested, ports: Ports) -> list[Write]:
    """`name` on the note that asked, and none of our other emoji; an empty name ends the eyes."""
    asked = _asked_in(request)
    key = request.project_id, request.iid, asked.note_id
    gone = {EYES, CHECK, CROSS} - {name} if name else {EYES}
    try:
        me = await ports.gitlab.current_user()
        ours = [award for award in await ports.gitlab.awards(*key) if award.user_id == me.id]
        there = next((award for award in ours if award.name == name), None)
        if there is None and name:
            there = await ports.gitlab.award(*key, name)
        for award in ours:
            if award.name in gone:
                await ports.gitlab.remove_award(*key, award.id)
    except NOT_TAKEN as error:
        missed("emoji", error, request)
        return []
    return [Write(what="emoji", id=str(there.id))] if there else []


async def _in_thread(body: str, request: TaskRequested, ports: Ports) -> Note | None:
    """None when there is no such thread."""
    thread = _asked_in(request).discussion_id
    if not thread:
        return None
    key = request.project_id, request.iid
    try:
        found = await ports.gitlab.discussion(*key, thread)
        mine = await _ours(found.notes, request, ports)
        if mine is None:
            return await ports.gitlab.reply(*key, thread, body)
    except NotFound:
        return None
    return await _current(mine, body, request, ports)


async def _beside(body: str, request: TaskRequested, ports: Ports) -> Note | None:
    """A note of its own; None when the merge request is gone."""
    key = request.project_id, request.iid
    try:
        notes = [note for one in await ports.gitlab.discussions(*key) for note in one.notes]
        mine = await _ours(notes, request, ports)
        if mine is None:
            return await ports.gitlab.create_note(*key, body)
    except NotFound:
        return None
    return await _current(mine, body, request, ports)


async def _ours(notes: Iterable[Note], request: TaskRequested, ports: Ports) -> Note | None:
    """Our reply of this task; a marker in anybody else's note means nothing (SR-28)."""
    me = await ports.gitlab.current_user()
    wanted = Marker(request.task_id, REPLY)
    return next(
        (note for note in notes if note.author_id == me.id and wanted in read_markers(note.body)),
        None,
    )


async def _current(note: Note, body: str, request: TaskRequested, ports: Ports) -> Note:
    if note.body != body:
        await ports.gitlab.update_note(request.project_id, request.iid, note.id, body)
    return note


def _asked_in(request: TaskRequested) -> AskedIn:
    assert request.asked_in is not None  # noqa: S101  # only tasks from notes come here
    return request.asked_in
