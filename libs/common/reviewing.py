"""Whether a merge request gets a review now: pure, from the log's history and the API's answer.

Called by the reviewer's handlers and, to tell an operator why there is none, by `gca events`. The
event that woke us is only a hint; what counts is the newest fact.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Literal

import msgspec

from libs.common.events.envelope import Recorded
from libs.common.events.facts import MrOpened
from libs.common.events.tasks import Superseded, TaskPublished, TaskRequested
from libs.common.gitlab.models import MergeRequest
from libs.common.replaying import again
from libs.common.reviewed import reviewed_key

LONGEST_WAIT = timedelta(minutes=2)
"""GitLab fills `diff_refs` and `/versions` asynchronously; past this the head is taken as it is."""
WAIT_SECONDS = 3.0
Code = Literal["closed", "no_diff", "newer_head", "draft", "reviewed", "open_task", "failed"]
"""Why there is no review, as one word that a program can rely on."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What the API says of the merge request now."""

    project_id: int
    iid: int
    sha: str
    target_branch: str
    is_open: bool
    is_draft: bool
    has_diff_refs: bool


def head_of(mr: MergeRequest) -> Head:
    """What a decision needs of the API's answer."""
    return Head(
        project_id=mr.project_id,
        iid=mr.iid,
        sha=mr.sha,
        target_branch=mr.target_branch,
        is_open=mr.state == "opened",
        is_draft=mr.draft,
        has_diff_refs=mr.diff_refs is not None and mr.diff_refs.head_sha == mr.sha,
    )


class Review(msgspec.Struct, frozen=True):
    """Ask for a review under this task id."""

    task_id: str


class Nothing(msgspec.Struct, frozen=True):
    """No review, and why in a few words for the log."""

    why: str
    code: Code


class Wait(msgspec.Struct, frozen=True):
    """Look again after `seconds`: GitLab is not ready."""

    why: str
    seconds: float = WAIT_SECONDS


Decision = Review | Nothing | Wait


def settle(
    seen_sha: str | None, head: Head, known_shas: Collection[str], age: timedelta
) -> Wait | Nothing | None:
    """Whether the API is where the event was: wait, nothing to do, or None to go on.

    `seen_sha` is the event's head (None: no event named one), `known_shas` the heads in
    `/versions`, `age` the time since the event was appended.
    """
    if not head.is_open:
        return Nothing("the merge request is not open", "closed")
    patient = age < LONGEST_WAIT
    if not head.has_diff_refs:
        if patient:
            return Wait("GitLab has not made the diff yet")
        return Nothing("it has no diff", "no_diff")
    if seen_sha is None or seen_sha == head.sha:
        return None
    if seen_sha in known_shas:
        return Nothing("a newer head was pushed", "newer_head")
    return Wait("GitLab does not show the pushed head yet") if patient else None


def decide(
    head: Head,
    history: Sequence[Recorded],
    *,
    reviewed: Collection[str] = (),
    review_drafts: bool = False,
    replay: str = "",
) -> Review | Nothing:
    """A review of this head for this target, unless it has one or one is on its way.

    `reviewed` holds `reviewed_key`s that outlive the log. A superseded task never counts as a
    review; a failed one counts until the merge request is opened, pushed or made ready again.
    A `replay`, by its id, has a head reviewed that was reviewed before.
    """
    if head.is_draft and not review_drafts:
        return Nothing("it is a draft (REVIEW_DRAFTS)", "draft")
    if replay:
        return _once_more(head, history, replay)
    if reviewed_key(head.sha, head.target_branch) in reviewed:
        return Nothing("this head was reviewed", "reviewed")
    tasks = reviews(history)
    for task in tasks:
        served = _served(task, head, history, newest=task is tasks[-1])
        if served:
            return served
    attempts = sum(1 for task in tasks if request_of(task).head_sha == head.sha)
    return Review(f"{_prefix(head)}-{attempts}")


def _prefix(head: Head) -> str:
    return f"review-{head.project_id}-{head.iid}-{head.sha[:16]}"


def _once_more(head: Head, history: Sequence[Recorded], replay: str) -> Review | Nothing:
    """Whatever became of the reviews before, but for one that still runs."""
    for task in reviews(history):
        request = request_of(task)
        same = (request.head_sha, request.target_branch) == (head.sha, head.target_branch)
        if same and not has_ended(history, request.task_id):
            return Nothing("its review is running", "open_task")
    return Review(again(_prefix(head), replay))


def has_ended(history: Sequence[Recorded], task_id: str) -> bool:
    return _of(history, "task.result", task_id) is not None


def reviews(history: Sequence[Recorded]) -> list[Recorded]:
    """Requests for reviews that were to run, oldest first; a refused command is none."""
    return [
        record
        for record in history
        if isinstance(record.event, TaskRequested)
        and record.event.kind == "review"
        and not is_refused(record.event)
    ]


def is_refused(request: TaskRequested) -> bool:
    """Whether the task was refused when it was requested: it is there for its answer only."""
    return request.max_launches == 0


def asked_for(history: Sequence[Recorded], note_id: int) -> TaskRequested | None:
    """The newest review that this note asked for already, on whatever head."""
    for record in reversed(history):
        event = record.event
        if isinstance(event, TaskRequested) and event.kind == "review":
            asked_in = event.asked_in
            if asked_in is not None and asked_in.note_id == note_id:
                return event
    return None


def request_of(record: Recorded) -> TaskRequested:
    """The request in a record of `reviews`."""
    assert isinstance(record.event, TaskRequested)  # noqa: S101  # narrowed by the caller
    return record.event


def _served(
    task: Recorded, head: Head, history: Sequence[Recorded], *, newest: bool
) -> Nothing | None:
    """Why this task makes another review needless, or None."""
    request = request_of(task)
    if (request.head_sha, request.target_branch) != (head.sha, head.target_branch):
        return None
    published = _of(history, "task.published", request.task_id)
    if published is not None and isinstance(published.event, TaskPublished):
        return _published(published.event, seen_again=_seen_since(task, head, history))
    result = _of(history, "task.result", request.task_id)
    if result is None:
        return Nothing("its review is running", "open_task") if newest else None
    if isinstance(result.event, Superseded):
        return None
    return Nothing("its result is being published", "open_task")


def _published(event: TaskPublished, *, seen_again: bool) -> Nothing | None:
    if event.outcome == "posted":
        return Nothing("this head was reviewed", "reviewed")
    if event.outcome == "superseded" or seen_again:
        return None
    return Nothing("its review failed", "failed")


def _of(history: Sequence[Recorded], prefix: str, task_id: str) -> Recorded | None:
    for record in history:
        if record.subject.startswith(f"{prefix}.") and record.subject.endswith(f".{task_id}"):
            return record
    return None


def _seen_since(task: Recorded, head: Head, history: Sequence[Recorded]) -> bool:
    """Whether this head was seen again after the task was requested."""
    return any(
        isinstance(record.event, MrOpened)
        and record.event.head_sha == head.sha
        and record.seq > task.seq
        for record in history
    )
