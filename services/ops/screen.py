"""What people read on the terminal: events and log lines as short lines of text. Pure.

Used by `up`, `demo` and `history`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from libs.common.events.envelope import Recorded, event_type
from libs.common.events.facts import MrClosed, MrOpened
from libs.common.events.tasks import (
    ReviewDone,
    Superseded,
    TaskFailed,
    TaskPublished,
    TaskRequested,
)

_COLORS = {"green": "32", "red": "31", "yellow": "33", "blue": "36", "grey": "90", "bold": "1"}
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
        case MrOpened():
            return (
                "event",
                f"{event.project_id}!{event.iid} {event.why}, head {event.head_sha[:12]}",
            )
        case MrClosed():
            return "event", f"{event.project_id}!{event.iid} {event.state}"
        case TaskRequested():
            return "task", f"{event.task_id} requested: {event.title[:60]}"
        case ReviewDone():
            return "result", f"{event.task_id} has {_count(len(event.findings), 'finding')}"
        case TaskFailed():
            return "failed", f"{event.task_id}: {event.reason}. {event.detail}"
        case Superseded():
            return "result", f"{event.task_id} superseded by {event.by}"
        case TaskPublished():
            return "posted", _published(event)
        case _:
            return "event", event_type(event)


def _published(event: TaskPublished) -> str:
    if event.outcome != "posted":
        return f"{event.task_id} {event.outcome}: {event.detail}"
    return f"{_count(len(event.discussion_ids), 'comment')} and the summary {event.web_url}"


def _count(number: int, noun: str) -> str:
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
