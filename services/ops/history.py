"""The chain of a merge request as rows, for people and for programs: pure. Used by `events`."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from libs.common.events.envelope import Recorded
from libs.common.events.facts import JiraReady, MrClosed, MrOpened, NoteCommand
from libs.common.events.tasks import (
    Answered,
    ChangesProposed,
    NothingToDo,
    Refused,
    Result,
    ReviewDone,
    Superseded,
    TaskFailed,
    TaskPublished,
    TaskRequested,
    Usage,
)
from libs.common.jetstream.letters import DeadLetter
from libs.common.launching.launches import Attempts
from libs.common.replaying import replay_id
from services.ops.screen import asked, paint, printable, started, told, wanted
from services.ops.screen import result as in_words
from services.ops.why.answer import Why

Kind = Literal[
    "event", "task", "job", "session", "result", "failed", "published", "dead", "retry", "replay"
]
_COLORS = {"published": "green", "failed": "red", "dead": "red", "session": "grey", "job": "grey"}
NARROW = 80
Worked = ReviewDone | ChangesProposed | Answered | NothingToDo
"""Results of a session, which tell what it took."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One step; `seconds` since the first of the chain, `details` by stable names."""

    time: datetime
    seconds: float
    kind: Kind
    text: str
    task_id: str = ""
    seq: int | None = None
    subject: str = ""
    details: dict[str, Any] = {}


def rows(
    history: Sequence[Recorded],
    *,
    launches: Mapping[str, Attempts] | None = None,
    letters: Iterable[DeadLetter] = (),
) -> list[Row]:
    """All steps by time; Jobs as far as their launches are still known."""
    if not history:
        return []
    start = history[0].time
    found = [row for record in history for row in of_record(record, start)]
    for task_id, attempts in (launches or {}).items():
        if attempts.at is not None and attempts.count:
            text = f"Job started, launch {attempts.count}"
            found.append(_at(attempts.at, start, "job", text, task_id=task_id))
    for letter in letters:
        text = f"{letter.service} gave up after {letter.attempts} deliveries: {letter.reason}"
        found.append(_at(letter.time, start, "dead", text, subject=letter.subject))
    return sorted(found, key=lambda row: row.time)


def of_record(record: Recorded, start: datetime) -> list[Row]:
    """One event as its rows: a result tells of the session too."""
    event = record.event
    common: dict[str, Any] = {
        "seq": record.seq,
        "subject": record.subject,
        "task_id": getattr(event, "task_id", ""),
    }
    if record.subject.startswith("retry."):
        text = f"put back for the {record.subject.split('.')[1]}: {told(record)[1]}"
        return [_at(record.time, start, "retry", text, **common)]
    kind, text, details = _told(record)
    if record.replay_of:
        kind, text = "replay", f"{text}, again (replay {replay_id(record)})"
        details = details | {"replay": replay_id(record), "replay_of": record.replay_of}
    found = [_at(record.time, start, kind, text, details=details, **common)]
    if isinstance(event, Worked) and not (isinstance(event, Answered) and event.help):
        session = {"stages": event.stages, "usage": msgspec.to_builtins(event.usage)}
        words = _session(event.stages, event.usage)
        found.insert(0, _at(record.time, start, "session", words, details=session, **common))
    return found


def _told(record: Recorded) -> tuple[Kind, str, dict[str, Any]]:
    event = record.event
    match event:
        case MrOpened():
            draft = ", a draft" if event.draft else ""
            text = f"{event.why}, head {event.head_sha[:12]}{draft}{_by(record)}"
            return "event", text, {"why": event.why, "head_sha": event.head_sha}
        case MrClosed():
            return "event", event.state, {"why": event.state}
        case NoteCommand():
            details = {"note_id": event.note_id, "text": event.text}
            return "event", f"note {event.note_id}: {asked(event)}{_by(record)}", details
        case JiraReady():
            return "event", f"{event.issue_key} {started(event)}", {"change_id": event.change_id}
        case TaskRequested():
            text = f"{event.task_id}: {wanted(event)[:200]}"
            return "task", text, {"kind": event.kind, "head_sha": event.head_sha}
        case TaskPublished():
            return "published", told(record)[1], _writes(event)
        case Result():
            return _ended(event)
        case _:
            return "event", told(record)[1], {}


def _by(record: Recorded) -> str:
    return f" by {record.source.removeprefix('ingest/')}" if record.source else ""


def _ended(event: Result) -> tuple[Kind, str, dict[str, Any]]:
    match event:
        case ReviewDone():
            by_severity = Counter(str(finding.severity) for finding in event.findings)
            details = {"findings": len(event.findings), "by_severity": dict(by_severity)}
            return "result", _findings(by_severity), details
        case ChangesProposed():
            return "result", in_words(event), _patch(event)
        case Answered():
            return "result", in_words(event), {"help": event.help}
        case NothingToDo():
            return "result", f"changes nothing: {event.summary[:400]}", {}
        case Refused():
            details = {"refused": event.code, "needed": event.needed, "quiet": event.quiet}
            return "result", in_words(event), details
        case TaskFailed():
            text = f"{event.reason}: {event.detail}"
            return "failed", text, {"reason": event.reason, "stages": event.stages}
        case Superseded():
            passed_on = f", goes on as {event.next_task_id}" if event.next_task_id else ""
            details = {"superseded_by": event.by, "next_task_id": event.next_task_id}
            return "result", f"superseded by {event.by}{passed_on}", details
    return "result", type(event).__name__, {}


def _patch(event: ChangesProposed) -> dict[str, Any]:
    size = event.stored.size if event.stored else len(event.patch)
    named = {"files": list(event.files), "left_out": list(event.left_out)}
    return named | {"subject": event.subject, "patch_bytes": size, "stored": bool(event.stored)}


def _writes(event: TaskPublished) -> dict[str, Any]:
    return {
        "outcome": event.outcome,
        "web_url": event.web_url,
        "commit_sha": event.commit_sha,
        "branch": event.branch,
        "merge_request_iid": event.merge_request_iid,
        "writes": [msgspec.to_builtins(write) for write in event.writes],
    }


def _findings(by_severity: Mapping[str, int]) -> str:
    total = sum(by_severity.values())
    if not total:
        return "no findings"
    parts = [f"{by_severity[s]} {s}" for s in ("error", "warning", "info") if s in by_severity]
    return f"{total} finding{'s' if total > 1 else ''} ({', '.join(parts)})"


def _session(stages: Mapping[str, float], usage: Usage) -> str:
    parts = [f"{name} {seconds:.1f} s" for name, seconds in stages.items()]
    if usage.input_tokens or usage.output_tokens:
        parts.append(f"{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out")
    if usage.model:
        parts.append(usage.model)
    return ", ".join(parts) or "no session was needed"


def _at(time: datetime, start: datetime, kind: Kind, text: str, **more: Any) -> Row:
    seconds = round((time - start).total_seconds(), 3)
    return Row(time=time, seconds=seconds, kind=kind, text=printable(text), **more)


def table(found: Sequence[Row], *, width: int | None, colored: bool, today: datetime) -> list[str]:
    """The rows as lines; short lines lose columns, never words."""
    dated = any(row.time.astimezone().date() != today.astimezone().date() for row in found)
    stamp = "%Y-%m-%d %H:%M:%S" if dated else "%H:%M:%S"
    return [line for row in found for line in _lines(row, width, stamp, colored=colored)]


def _lines(row: Row, width: int | None, stamp: str, *, colored: bool) -> list[str]:
    time = row.time.astimezone().strftime(stamp)
    if width is not None and width < NARROW:
        head, label = f"{time}  ", f"{row.kind:<9}  "
    else:
        seq = f"#{row.seq}" if row.seq is not None else ""
        head, label = f"{time} {row.seconds:>9.1f}s  {seq:<8} ", f"{row.kind:<9}  "
    lines = wrapped(head + label, row.text, width)
    painted = paint(label, _COLORS.get(row.kind, "blue"), colored=colored)
    lines[0] = head + painted + lines[0].removeprefix(head + label)
    return lines


def wrapped(head: str, text: str, width: int | None) -> list[str]:
    """`text` after `head`, its further lines below it; addresses are never broken."""
    if width is None:
        return [head + text]
    indent = " " * min(len(head), max(2, width // 3))
    return textwrap.wrap(
        text,
        max(width, 20),
        initial_indent=head,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [head]


def closing(answer: Why, *, about: str = "review", width: int | None, colored: bool) -> list[str]:
    """The one line that says why, and what to do; `about` names what there is or is not."""
    good = answer.code in {"reviewed", "done"}
    lead = f"{about}: " if good else f"no {about}: "
    text = printable(answer.text + (f" -> {answer.mend}" if answer.mend else ""))
    lines = wrapped(lead, text, width)
    lines[0] = paint(lead, "green" if good else "yellow", colored=colored) + lines[0][len(lead) :]
    return lines


def json_row(row: Row) -> str:
    return msgspec.json.encode(row).decode()


def json_closing(answer: Why, *, note_id: int = 0) -> str:
    """`kind` is `why`, and `command` with the note of a command."""
    named = {"kind": "command", "note_id": note_id} if note_id else {"kind": "why"}
    return msgspec.json.encode(named | msgspec.to_builtins(answer)).decode()
