"""Chains of events about merge request 42!7, for the tests of what operators read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from libs.common import subjects
from libs.common.events.envelope import AnyEvent, Recorded
from libs.common.events.facts import JiraReady, MrClosed, MrOpened, NoteCommand
from libs.common.events.tasks import (
    AskedIn,
    DiffRefs,
    Finding,
    PushTarget,
    Requester,
    Result,
    ReviewDone,
    TaskPublished,
    TaskRequested,
    Usage,
)
from libs.common.gitlab.models import MergeRequest

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
A, B, BASE = "a" * 40, "b" * 40, "c" * 40
TASK = f"review-42-7-{A[:16]}-0"
NOTE = 555
CODING = f"coding-42-7-n{NOTE}"
ISSUE_TASK = "coding-PROJ-12-7"
URL = "https://gitlab.test/group/app/-/merge_requests/7#note_9"


def opened(sha: str = A, **fields: object) -> MrOpened:
    return MrOpened(project_id=42, iid=7, head_sha=sha, **({"why": "open"} | fields))


def requested(sha: str = A, task_id: str = TASK) -> TaskRequested:
    return TaskRequested(
        task_id=task_id,
        kind="review",
        scope="42",
        ref="7",
        project_id=42,
        iid=7,
        clone_url="https://gitlab.test/group/app.git",
        web_url="https://gitlab.test/group/app/-/merge_requests/7",
        source_branch="topic",
        target_branch="main",
        diff_refs=DiffRefs(base_sha=BASE, start_sha=BASE, head_sha=sha),
        title="Add vouchers",
        expires_at=NOW + timedelta(hours=6),
    )


def done(**fields: object) -> ReviewDone:
    finding = Finding(
        file="a.py", side="new", line=1, end_line=1, severity="error", comment="Mind this."
    )
    given = {
        "summary": "One thing.",
        "findings": (finding,),
        "usage": Usage(model="sim", input_tokens=1200, output_tokens=80, cost=0.5),
        "stages": {"clone": 1.0, "session": 8.5},
    }
    return ReviewDone(task_id=TASK, head_sha=A, **(given | fields))


def published(outcome: str = "posted", **fields: object) -> TaskPublished:
    given = {"task_id": TASK, "head_sha": A, "target_branch": "main", "web_url": URL}
    return TaskPublished(outcome=outcome, **(given | fields))


def asked(text: str = "/copilot add a test", **fields: object) -> NoteCommand:
    """A command of alice's in note `NOTE`."""
    given = {
        "project_id": 42,
        "iid": 7,
        "note_id": NOTE,
        "author_id": 5,
        "author_username": "alice",
        "created_at": NOW,
        "text": text,
    }
    return NoteCommand(**(given | fields))


def coding(sha: str = A, task_id: str = CODING, **fields: object) -> TaskRequested:
    """The task of that command."""
    given = {
        "kind": "coding",
        "instruction": "add a test",
        "requester": Requester(name="alice", user_id=5, access_level=30),
        "asked_in": AskedIn(note_id=NOTE, discussion_id="d1"),
        "push": PushTarget(project_id=42, clone_url="https://gitlab.test/a.git", branch="topic"),
    }
    return msgspec.structs.replace(requested(sha, task_id), **(given | fields))


def live(**changes: object) -> MergeRequest:
    given = {
        "project_id": 42,
        "iid": 7,
        "state": "opened",
        "title": "Add vouchers",
        "source_branch": "topic",
        "target_branch": "main",
        "sha": A,
        "diff_refs": DiffRefs(base_sha=BASE, start_sha=BASE, head_sha=A),
    }
    return MergeRequest(**(given | changes))


def chain(*events: AnyEvent, step: float = 2.0) -> tuple[Recorded, ...]:
    """The events as the log holds them, `step` seconds apart."""
    return tuple(
        Recorded(
            subject=_subject(event),
            seq=number,
            time=NOW + timedelta(seconds=step * (number - 1)),
            event=event,
            message_id=f"m{number}",
            source="ingest/webhook",
        )
        for number, event in enumerate(events, start=1)
    )


def _subject(event: AnyEvent) -> str:
    match event:
        case MrOpened(head_sha=sha):
            return subjects.mr_opened(42, 7, sha)
        case MrClosed(state=state):
            return subjects.mr_closed(42, 7, state)
        case NoteCommand(note_id=note_id):
            return subjects.note_command(42, 7, note_id)
        case JiraReady(change_id=change_id):
            return subjects.jira_ready("PROJ", 12, change_id)
        case TaskRequested(task_id=task_id):
            return subjects.task_requested(42, 7, task_id)
        case TaskPublished(task_id=task_id):
            return subjects.task_published(42, 7, task_id)
        case Result(task_id=task_id):
            return subjects.task_result(42, 7, task_id)
    raise AssertionError(event)
