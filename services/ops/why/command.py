"""What became of a command in a note, or of an issue: pure, from what was seen.

Called by `events`.
"""

from __future__ import annotations

import re

from libs.common.events.envelope import Recorded
from libs.common.events.facts import NoteCommand
from libs.common.events.tasks import TaskKind, TaskRequested
from libs.common.jetstream.inspection import ConsumerState
from libs.common.replaying import first_id
from services.ops.screen import left
from services.ops.why import task as tasks
from services.ops.why.answer import Why
from services.ops.why.evidence import Seen
from services.ops.why.task import Words

_NOUNS: dict[TaskKind, str] = {"review": "review", "ask": "answer", "coding": "change"}
_OF_NOTE = re.compile(r".+-n([0-9]+)")
ASK_AGAIN = "then ask again in a new note"
MOVE_AGAIN = "then move the issue out of the status and back"


def of_note(task: TaskRequested) -> int:
    """The note that asked for the task; 0 when none did."""
    match = _OF_NOTE.fullmatch(first_id(task.task_id))
    return int(match[1]) if match else 0


def why_command(record: Recorded, seen: Seen) -> Why:
    """Where the command of this record is, and what holds it there."""
    event = record.event
    assert isinstance(event, NoteCommand)  # noqa: S101  # of `Seen.commands`
    task = seen.newest(lambda task: of_note(task) == event.note_id)
    if task is not None:
        return _of_task(task, seen, ASK_AGAIN)
    for letter in seen.letters:
        if letter.seq == record.seq:
            return tasks.gave_up(letter, ASK_AGAIN)
    behind = _behind("command", record.seq, seen.coder, seen.reviewer)
    if behind is not None:
        return behind if not seen.gitlab_problem else _gitlab_away(seen)
    reason = seen.ignored.get(event.note_id)
    text = f"it was left alone: {reason}" if reason else "it was looked at and left alone"
    return Why(
        code="ignored",
        text=text,
        mend="ask in a new note: only what a person wrote, not edited since, and not older than a "
        "day, starts work",
    )


def why_issue(seen: Seen) -> Why:
    """Where the issue is on its way to a merge request."""
    ready = seen.ready()
    if ready is None:
        return _never_ready(seen)
    change = ready.subject.rsplit(".", 1)[-1]
    task = seen.newest(lambda task: first_id(task.task_id).endswith(f"-{change}"))
    if task is not None:
        return _of_task(task, seen, MOVE_AGAIN)
    found = tasks.letter(seen, "coder", ready.seq, MOVE_AGAIN)
    if found is not None:
        return found
    behind = _behind("issue", ready.seq, seen.coder)
    return behind or Why(
        code="ignored",
        text="the coder looked at it and left it alone",
        mend=f"look at the coder's log, {MOVE_AGAIN}",
    )


def _of_task(task: TaskRequested, seen: Seen, again: str) -> Why:
    published = seen.published(task.task_id)
    if published is not None and published.outcome == "posted":
        return Why(code="done", text=f"{left(published)} {published.web_url}")
    service = "reviewer" if task.kind == "review" else "coder"
    noun = _NOUNS.get(task.kind, "task")
    return tasks.on_its_way(task, seen, Words(noun=noun, service=service, again=again))


def _never_ready(seen: Seen) -> Why:
    if seen.allowed is False:
        return Why(
            code="not_allowed",
            text="its project is not in JIRA_PROJECT_MAP, so its issues are not looked at",
            mend="add the project to JIRA_PROJECT_MAP and start ingest again",
        )
    status = seen.trigger_status or "the trigger status"
    return Why(
        code="no_event",
        text=f"nobody was seen to move it to {status}",
        mend=f"move it to {status} (JIRA_TRIGGER_STATUS), as somebody whom JIRA_ALLOWED_USERS "
        "names; `gca doctor` says whether Jira can be read",
    )


def _behind(what: str, seq: int, *states: ConsumerState | None) -> Why | None:
    """A service that has not come to this event yet; both see each command, one serves it."""
    late = [state for state in states if state is None or state.handled < seq]
    if not late:
        return None
    known = [state for state in late if state is not None]
    waiting = sum(state.pending + state.unacknowledged for state in known)
    names = " and ".join(state.name for state in known) or "coder"
    return Why(
        code="not_handled",
        text=f"the {names} has not dealt with the {what} yet ({waiting} waiting or in hand)",
        mend=f"check that the {names} runs and reaches GitLab (`gca doctor`)",
    )


def _gitlab_away(seen: Seen) -> Why:
    return Why(
        code="gitlab_away",
        text=f"it waits for GitLab: {seen.gitlab_problem}",
        mend="mend the connection or the token (`gca doctor`); it goes on by itself",
    )
