"""What people read on the terminal: events and log lines as short lines of text. Pure.

Used by `up`, `demo` and `history`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from libs.common.events.envelope import AnyEvent, Recorded, event_type
from libs.common.events.facts import JiraReady, MrClosed, MrOpened, NoteCommand
from libs.common.events.tasks import (
    Answered,
    ChangesProposed,
    NothingToDo,
    Refused,
    RefusedCode,
    ReviewDone,
    Superseded,
    TaskFailed,
    TaskPublished,
    TaskRequested,
)

_COLORS = {"green": "32", "red": "31", "yellow": "33", "blue": "36", "grey": "90", "bold": "1"}
SHOWN_TEXT = 80
"""Characters of a person's text in a line."""
REFUSALS: dict[RefusedCode, str] = {
    "access": "the person's role in the project does not reach",
    "moved": "somebody else pushed since the note was written",
    "protected": "the branch is the default or a protected one",
    "no_branch": "the source branch is gone",
    "fork": "the fork takes no commits from here",
    "closed": "the merge request is not open",
    "internal_note": "the note is internal, and what is done for it would not be",
    "restricted_issue": "only some people may see the issue, and what is done for it would be open",
    "no_project": "the issue's project in GitLab cannot be read, or is not served",
    "budget": "too much was asked for within the hour",
}
"""Why a command starts nothing, in a few words for operators."""
_NOT_SHOWN = frozenset(
    {"event", "level", "timestamp", "service", "trace_id", "exception", "logger", "pid"}
)


def paint(text: str, color: str, *, colored: bool) -> str:
    return f"\x1b[{_COLORS[color]}m{text}\x1b[0m" if colored else text


def printable(text: str) -> str:
    """Text of others as one harmless line: nothing in it moves the cursor or turns the line."""
    one_line = " ".join(text.split())
    return "".join(character if character.isprintable() else "?" for character in one_line)


def clock(time: datetime) -> str:
    return time.astimezone().strftime("%H:%M:%S")


def told(record: Recorded) -> tuple[str, str]:
    """A word for the event's kind, and what it says in one line."""
    word, text = _told(record)
    return word, printable(text)


def _told(record: Recorded) -> tuple[str, str]:
    event = record.event
    match event:
        case MrOpened(project_id=project_id, iid=iid, why=why):
            return "event", f"{project_id}!{iid} {why}, head {event.head_sha[:12]}"
        case MrClosed(project_id=project_id, iid=iid, state=state):
            return "event", f"{project_id}!{iid} {state}"
        case NoteCommand(project_id=project_id, iid=iid):
            return "event", f"{project_id}!{iid} {asked(event)}"
        case JiraReady(issue_key=key):
            return "event", f"{key} {started(event)}"
        case TaskRequested(task_id=task_id):
            return "task", f"{task_id} requested: {wanted(event)[:60]}"
        case _:
            return _end(event)


def _end(event: AnyEvent) -> tuple[str, str]:
    match event:
        case Superseded():
            return "result", f"{event.task_id} superseded by {event.next_task_id or event.by}"
        case TaskFailed():
            return "failed", f"{event.task_id}: {event.reason}. {event.detail}"
        case TaskPublished():
            return "posted", _published(event)
        case ReviewDone() | ChangesProposed() | Answered() | NothingToDo() | Refused():
            return "result", f"{event.task_id} {result(event)}"
        case _:
            return "event", event_type(event)


def asked(event: NoteCommand) -> str:
    """A command as its author wrote it."""
    return f"{event.author_username or 'somebody'} wrote: {event.text[:SHOWN_TEXT]}"


def started(event: JiraReady) -> str:
    """An issue that somebody moved to the trigger status."""
    return f"is {event.status}, by {event.account_name or 'somebody'}: {event.summary[:SHOWN_TEXT]}"


def wanted(event: TaskRequested) -> str:
    """What a task is about: a person's words where there are any."""
    if event.issue is None and event.instruction:
        return event.instruction
    return event.title or event.instruction


def result(
    event: ReviewDone | ChangesProposed | Answered | NothingToDo | Refused,
) -> str:
    """What the session, or the rule that refused it, said."""
    match event:
        case ReviewDone():
            return f"has {count(len(event.findings), 'finding')}"
        case ChangesProposed():
            left = f", {len(event.left_out)} left out" if event.left_out else ""
            return f"changes {count(len(event.files), 'file')}{left}: {event.subject}"
        case Answered():
            return "is answered with the help" if event.help else "has its answer"
        case NothingToDo():
            return f"changes nothing: {event.summary[:SHOWN_TEXT]}"
        case Refused():
            return f"is refused: {REFUSALS[event.code]}{_needed(event)}"


def _needed(event: Refused) -> str:
    return f" (needs {event.needed})" if event.needed else ""


def _published(event: TaskPublished) -> str:
    if event.outcome != "posted":
        return f"{event.task_id} {event.outcome}: {event.detail}"
    return f"{left(event)} {event.web_url}"


def left(event: TaskPublished) -> str:
    """What the publisher left for people to see."""
    parts = []
    if event.merge_request_iid:
        parts.append(f"Draft merge request !{event.merge_request_iid}")
    if event.commit_sha:
        parts.append(f"commit {event.commit_sha[:12]} on {event.branch}")
    if any(write.what == "jira_comment" for write in event.writes):
        parts.append("a comment in Jira")
    if event.task_id.startswith("review-"):
        parts.append(f"{count(len(event.discussion_ids), 'comment')} and the summary")
    return ", ".join(parts) or "a reply"


def count(number: int, noun: str) -> str:
    """As in `1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def log_fields(line: str) -> dict[str, Any] | None:
    """The fields of a JSON log line, or None when it is something else."""
    try:
        fields = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return None
    return fields if isinstance(fields, dict) and "event" in fields else None


def log_text(fields: dict[str, Any]) -> str:
    """The message and its fields in one line, most telling first."""
    rest = " ".join(f"{k}={v}" for k, v in fields.items() if k not in _NOT_SHOWN and v != "")
    last = str(fields.get("exception", "")).strip().splitlines()[-1:]
    return " ".join([str(fields["event"]), rest, *last]).strip()


def is_trouble(fields: dict[str, Any]) -> bool:
    return fields.get("level") in {"warning", "error", "critical"}


def speaks_of_lost_nats(fields: dict[str, Any]) -> bool:
    """Whether a child tells that it cannot reach NATS; a refusal of its login is another thing."""
    if not is_trouble(fields):
        return False
    text = str(fields["event"])
    away = fields.get("peer") == "nats" and "is not reachable" in text
    failed = any("NATS is away" in str(value) for value in fields.values())
    return away or failed or text.startswith("disconnected from NATS")
