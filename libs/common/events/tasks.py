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
RefusedCode = Literal[
    "access",
    "moved",
    "protected",
    "no_branch",
    "fork",
    "closed",
    "internal_note",
    "restricted_issue",
    "no_project",
    "budget",
]
"""Why a command starts nothing: role too low; another head than at the note's time; the branch is
the default or a protected one; it is gone; a fork that takes no commits; not open; text that only
some may see; the issue's project cannot be read; too much was asked for already."""


class DiffRefs(msgspec.Struct, frozen=True, kw_only=True):
    """GitLab's three shas of a diff version: `base_sha` is the merge base."""

    base_sha: str
    start_sha: str
    head_sha: str


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one task; `timeout` is seconds of wall time for clone and session together."""

    timeout: int = 1800
    max_findings: int = 200


class Requester(msgspec.Struct, frozen=True, kw_only=True):
    """The person who asked, as looked up when the task was decided."""

    name: str
    """User name in GitLab, display name in Jira."""
    user_id: int = 0
    """In GitLab; 0 when the person asked in Jira."""
    account_id: str = ""
    """In Jira; empty when the person asked in GitLab."""
    access_level: int = 0
    """GitLab's number of the role in the project: 20 Reporter, 30 Developer, 40 Maintainer."""
    rule: str = ""
    """Which rule let the person do this, in a few words for the audit (SR-44)."""


class AskedIn(msgspec.Struct, frozen=True, kw_only=True):
    """The note that asked; answers go into its thread."""

    note_id: int
    discussion_id: str


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """The Jira issue that a task works for."""

    key: str
    web_url: str = ""
    status: str = ""
    """The status that asked for the work; an issue that stands elsewhere by then is left there."""


class PushTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Where a commit may go, and nowhere else (SR-35)."""

    project_id: int
    """The source project: the fork's when the merge request comes from one."""
    clone_url: str
    branch: str
    new_branch: bool = False
    """The branch is made by the push."""
    never_to: tuple[str, ...] = ()
    """Default and protected branches; `*` stands for any letters, as in GitLab."""


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
    """0: the end was decided with the request (refused, help), no Job ever runs."""
    instruction: str = ""
    """What a person asks for, of kinds `ask` and `coding`; untrusted, and cut to length."""
    requester: Requester | None = None
    """None when nobody asked: a review by itself."""
    asked_in: AskedIn | None = None
    issue: Issue | None = None
    push: PushTarget | None = None
    """None for tasks that change no code."""

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
    next_task_id: str = ""
    """The task that does the same work on another head, so that people need no word of this one."""


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """Where a large body lies outside of the log; `digest` is `SHA-256=` and base64url."""

    artifact: str
    size: int
    digest: str


class ChangesProposed(Result, frozen=True, kw_only=True, tag="task.result.changes_proposed.v1"):
    """The session wrote code. The patch is for `head_sha`, the pinned commit, and for no other."""

    subject: str
    """First line of the commit message."""
    summary: str
    files: tuple[str, ...]
    """Paths that the session meant to change; only these are in the patch."""
    left_out: tuple[str, ...] = ()
    """Paths that were changed besides, and are not in the patch."""
    patch: bytes = b""
    """As `git diff --cached --binary --full-index` writes it; empty when it is in `stored`."""
    stored: Artifact | None = None
    """A patch too large for an event, put there by the task door."""
    usage: Usage = Usage()
    stages: dict[str, float] = msgspec.field(default_factory=dict)


class Answered(Result, frozen=True, kw_only=True, tag="task.result.answered.v1"):
    """A question has its answer, in Markdown."""

    answer: str
    help: bool = False
    """The person asked what can be asked; the publisher has the words, `answer` is empty."""
    usage: Usage = Usage()
    stages: dict[str, float] = msgspec.field(default_factory=dict)


class NothingToDo(Result, frozen=True, kw_only=True, tag="task.result.nothing_to_do.v1"):
    """The session changed no file; `summary` says why, in its words."""

    summary: str
    usage: Usage = Usage()
    stages: dict[str, float] = msgspec.field(default_factory=dict)


class Refused(Result, frozen=True, kw_only=True, tag="task.result.refused.v1"):
    """Nothing is done, and the person is told why in one note; `code` chooses the words."""

    code: RefusedCode
    needed: str = ""
    """With `access`: the role that would do, such as Developer."""
    detail: str = ""
    """For operators; no secret, no text of people."""
    quiet: bool = False
    """No note: the person was told the same not long ago."""


class Echoed(Result, frozen=True, kw_only=True, tag="task.result.echoed.v1"):
    """A Job that only had to answer did: the end of `gca doctor --task`, never published."""

    started_at: float
    """When the Job began, seconds since 1970 on its own clock."""
    stages: dict[str, float] = msgspec.field(default_factory=dict)
    """Seconds from there until the spec was fetched."""


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the publisher wrote outside, for the audit (SR-44)."""

    what: Literal[
        "note", "discussion", "emoji", "commit", "merge_request", "jira_comment", "jira_transition"
    ]
    id: str
    """As the other side names it: note id, sha, iid, status."""
    web_url: str = ""


class TaskPublished(Event, frozen=True, kw_only=True, tag="task.published.v1"):
    """What the publisher left in GitLab and Jira for a task."""

    task_id: str
    outcome: Outcome
    head_sha: str = ""
    target_branch: str = ""
    summary_note_id: int | None = None
    discussion_ids: tuple[str, ...] = ()
    web_url: str = ""
    detail: str = ""
    requester: Requester | None = None
    commit_sha: str = ""
    """The task's commit, now on `branch`."""
    branch: str = ""
    merge_request_iid: int = 0
    """The merge request that was made for the task; 0 when none was."""
    writes: tuple[Write, ...] = ()


TaskResult = (
    ReviewDone | ChangesProposed | Answered | NothingToDo | Refused | TaskFailed | Superseded
)
"""Ends that people see something of."""
TaskEvent = TaskRequested | TaskResult | Echoed | TaskPublished
