"""Tasks: one request and one end, each created once; then what the publisher made of it.

`TaskRequested` holds all that the runner and the publisher may act on; results bring content only.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from libs.common.events.facts import Event

TaskKind = Literal["review", "ask", "coding", "echo"]
Severity = Literal["error", "warning", "info"]
Side = Literal["new", "old"]
FailureReason = Literal["clone", "auth", "timeout", "model", "no_result", "launch", "internal"]
Outcome = Literal["posted", "superseded", "refused", "failed"]


class DiffRefs(msgspec.Struct, frozen=True, kw_only=True):
    """GitLab's three shas of a diff version: `base_sha` is the merge base."""

    base_sha: str
    start_sha: str
    head_sha: str


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one task; `timeout` is seconds of wall time for clone and session together."""

    timeout: int = 1800
    max_findings: int = 200


class TaskRequested(Event, frozen=True, kw_only=True, tag="task.requested.v1"):
    """Do this. Texts from people are untrusted and already cut to length."""

    task_id: str
    kind: TaskKind
    scope: str
    """Subject token three: project_id, or the Jira project key."""
    ref: str
    """Subject token four: iid, or the Jira issue number."""
    project_id: int
    iid: int
    clone_url: str
    web_url: str
    source_branch: str
    target_branch: str
    diff_refs: DiffRefs
    title: str
    description: str = ""
    author: str = ""
    commit_messages: tuple[str, ...] = ()
    limits: Limits = Limits()
    expires_at: datetime
    """Past this no launch is tried any more; the task ends as failed."""
    max_launches: int = 3

    @property
    def head_sha(self) -> str:
        return self.diff_refs.head_sha


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a diff as GitLab counts it.

    Added lines have only `new_line`, removed lines only `old_line`, context lines both
    (GitLab REST, discussions with position). `line_code` is `sha1(path)_old_new` with the running
    counter on the side that does not apply.
    """

    old_line: int | None
    new_line: int | None
    line_code: str


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Where a finding sits in the diff; `start` is set when it spans more than one line."""

    old_path: str
    new_path: str
    end: Point
    start: Point | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One remark of a review, checked against the git diff by the runner."""

    file: str
    side: Side
    line: int
    end_line: int
    """Last line of the range; equals `line` for a single line."""
    severity: Severity
    comment: str
    suggestion: str | None = None
    """Replacement for new-side lines `suggestion_start` to `suggestion_end`, without a fence."""
    suggestion_start: int | None = None
    suggestion_end: int | None = None
    position: Position | None = None
    """None when the finding belongs to the file or the merge request as a whole."""
    line_text: str = ""
    """Text of the anchor line, so that the same place is known again on a later head."""


class SkippedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A changed file that was not reviewed, and why in words a person understands."""

    path: str
    why: str


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What the session consumed; `cost` in the provider's unit, `seconds` of model time."""

    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0


class Result(Event, frozen=True, kw_only=True):
    """The one end of a task; `head_sha` binds it to the spec (SR-22)."""

    task_id: str
    head_sha: str


class ReviewDone(Result, frozen=True, kw_only=True, tag="task.result.review_done.v1"):
    """The session handed in a review."""

    summary: str
    findings: tuple[Finding, ...] = ()
    files_reviewed: tuple[str, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()
    usage: Usage = Usage()
    stages: dict[str, float] = msgspec.field(default_factory=dict)
    """Seconds per stage: clone, start, session."""


class TaskFailed(Result, frozen=True, kw_only=True, tag="task.result.task_failed.v1"):
    """The task ended without a result; `detail` is for operators and holds no secret."""

    reason: FailureReason
    detail: str = ""
    stages: dict[str, float] = msgspec.field(default_factory=dict)


class Superseded(Result, frozen=True, kw_only=True, tag="task.result.superseded.v1"):
    """Nobody needs this any more: a newer task, or the merge request closed."""

    by: str


class Echoed(Result, frozen=True, kw_only=True, tag="task.result.echoed.v1"):
    """A Job that only had to answer did: the end of `gca doctor --task`, never published."""

    started_at: float
    """When the Job began, seconds since 1970 on its own clock."""
    stages: dict[str, float] = msgspec.field(default_factory=dict)
    """Seconds from there until the spec was fetched."""


class TaskPublished(Event, frozen=True, kw_only=True, tag="task.published.v1"):
    """What the publisher left in GitLab for a task."""

    task_id: str
    outcome: Outcome
    head_sha: str = ""
    target_branch: str = ""
    summary_note_id: int | None = None
    discussion_ids: tuple[str, ...] = ()
    web_url: str = ""
    detail: str = ""


TaskResult = ReviewDone | TaskFailed | Superseded
"""Ends that people see something of."""
TaskEvent = TaskRequested | TaskResult | Echoed | TaskPublished
