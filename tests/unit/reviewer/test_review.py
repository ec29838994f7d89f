"""Whether a merge request gets a review: the cases a person would name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from libs.common import subjects
from libs.common.events.envelope import AnyEvent, Recorded
from libs.common.events.facts import MrClosed, MrOpened
from libs.common.events.tasks import (
    ReviewDone,
    Superseded,
    TaskFailed,
    TaskPublished,
    TaskRequested,
)
from libs.common.reviewed import reviewed_key
from libs.common.reviewing import Head, Nothing, Review, Wait, decide, settle
from services.reviewer.superseding import superseded
from tests.samples import refs, review_request

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
A, B = "a" * 40, "b" * 40


def head(sha: str = A, **changes: object) -> Head:
    given: dict[str, object] = {
        "project_id": 42,
        "iid": 7,
        "sha": sha,
        "target_branch": "main",
        "is_open": True,
        "is_draft": False,
        "has_diff_refs": True,
    }
    return Head(**(given | changes))  # type: ignore[arg-type]  # a table of keywords


def history(*events: AnyEvent) -> list[Recorded]:
    """A history in which later arguments were appended later; last per subject, as the log."""
    last: dict[str, Recorded] = {}
    for seq, event in enumerate(events, start=1):
        subject = _subject(event)
        last[subject] = Recorded(subject=subject, seq=seq, time=NOW, event=event)
    return sorted(last.values(), key=lambda record: record.seq)


def _subject(event: AnyEvent) -> str:
    match event:
        case MrOpened():
            return subjects.mr_opened(42, 7, event.head_sha)
        case MrClosed():
            return subjects.mr_closed(42, 7, event.state)
        case TaskRequested():
            return subjects.task_requested(42, 7, event.task_id)
        case TaskPublished():
            return subjects.task_published(42, 7, event.task_id)
        case _:
            return subjects.task_result(42, 7, event.task_id)


def opened(sha: str = A) -> MrOpened:
    return MrOpened(project_id=42, iid=7, head_sha=sha, why="open")


def closed() -> MrClosed:
    return MrClosed(project_id=42, iid=7, state="closed")


def task_id(sha: str = A, n: int = 0) -> str:
    return f"review-42-7-{sha[:16]}-{n}"


def requested(sha: str = A, n: int = 0, target: str = "main") -> TaskRequested:
    return review_request(
        sha, task_id=task_id(sha, n), target_branch=target, diff_refs=refs(sha, B)
    )


def done(sha: str = A, n: int = 0) -> ReviewDone:
    return ReviewDone(task_id=task_id(sha, n), head_sha=sha, summary="fine")


def failed(sha: str = A, n: int = 0) -> TaskFailed:
    return TaskFailed(task_id=task_id(sha, n), head_sha=sha, reason="model")


def ended(sha: str = A, n: int = 0) -> Superseded:
    return Superseded(task_id=task_id(sha, n), head_sha=sha, by="head")


def published(outcome: str, sha: str = A, n: int = 0) -> TaskPublished:
    return TaskPublished(task_id=task_id(sha, n), outcome=outcome, head_sha=sha)  # type: ignore[arg-type]  # table


CASES = {
    "a first head": (head(), [opened()], Review(task_id())),
    "the same event again while its review runs": (
        head(), [opened(), requested()], Nothing("its review is running", "open_task")),
    "the same event again while its result is being published": (
        head(), [opened(), requested(), done()],
        Nothing("its result is being published", "open_task")),
    "a head that was reviewed": (
        head(), [opened(), requested(), done(), published("posted")],
        Nothing("this head was reviewed", "reviewed")),
    "a second push": (
        head(B), [opened(), requested(), done(), published("posted"), opened(B)],
        Review(task_id(B))),
    "A to B to A with A reviewed": (
        head(A),
        [requested(), done(), published("posted"), opened(B), requested(B), opened(A)],
        Nothing("this head was reviewed", "reviewed")),
    "A to B to A with A superseded": (
        head(A), [requested(), ended(), opened(B), requested(B), opened(A)],
        Review(task_id(A, 1))),
    "A to B to A before A was superseded": (
        head(A), [requested(), opened(B), requested(B), opened(A)], Review(task_id(A, 1))),
    "A to B to A twice considered": (
        head(A), [requested(), opened(B), requested(B), opened(A), requested(A, 1)],
        Nothing("its review is running", "open_task")),
    "superseded by the publisher's last look, then back": (
        head(A), [requested(), done(), published("superseded"), opened(A)],
        Review(task_id(A, 1))),
    "a failed review and the same event again": (
        head(), [opened(), requested(), failed(), published("failed")],
        Nothing("its review failed", "failed")),
    "a failed review, closed and reopened": (
        head(), [requested(), failed(), published("failed"), closed(), opened()],
        Review(task_id(A, 1))),
    "retargeted after its review": (
        head(target_branch="release"), [requested(), done(), published("posted"), opened()],
        Review(task_id(A, 1))),
    "retargeted while its review runs": (
        head(target_branch="release"), [requested(), opened()], Review(task_id(A, 1))),
    "closed before its review ended, then reopened": (
        head(), [requested(), closed(), ended(), opened()], Review(task_id(A, 1))),
}  # fmt: skip


@pytest.mark.parametrize(("now", "past", "expected"), CASES.values(), ids=CASES.keys())
def test_decides_as_a_person_would_expect(now, past, expected):
    assert expected == decide(now, history(*past))


def test_a_draft_is_left_alone_unless_the_operator_wants_drafts():
    draft = head(is_draft=True)

    assert isinstance(decide(draft, history(opened())), Nothing)
    assert Review(task_id()) == decide(draft, history(opened()), review_drafts=True)


def test_a_head_older_than_the_log_is_not_reviewed_again():
    assert Nothing("this head was reviewed", "reviewed") == decide(
        head(), [], reviewed={reviewed_key(A, "main")}
    )


MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("seen", "now", "known", "age", "expected"),
    [
        (A, head(), set(), MINUTE, None),
        (None, head(B), set(), MINUTE, None),
        (A, head(is_open=False), set(), MINUTE, Nothing("the merge request is not open", "closed")),
        (A, head(B), {A, B}, MINUTE, Nothing("a newer head was pushed", "newer_head")),
        (B, head(A), {A}, MINUTE, Wait("GitLab does not show the pushed head yet")),
        (B, head(A), {A}, 3 * MINUTE, None),
        (A, head(has_diff_refs=False), set(), MINUTE, Wait("GitLab has not made the diff yet")),
        (A, head(has_diff_refs=False), set(), 3 * MINUTE, Nothing("it has no diff", "no_diff")),
    ],
)
def test_waits_for_gitlab_but_never_for_ever(seen, now, known, age, expected):
    assert expected == settle(seen, now, known, age)


def test_of_one_merge_requests_open_tasks_only_the_newest_runs():
    past = history(opened(), requested(A), opened(B), requested(B))

    assert {task_id(A): f"head {B[:12]}"} == superseded(past)


def test_closing_ends_every_task_until_it_is_reopened():
    assert {task_id(A): "the merge request was closed"} == superseded(
        history(opened(), requested(A), closed())
    )
    assert {} == superseded(history(requested(A), closed(), opened()))
