"""Why a merge request has no review: each reason has its word, its sentence and its way out."""

from __future__ import annotations

from datetime import timedelta
from typing import get_args

import pytest

from libs.common.events.facts import MrClosed
from libs.common.events.tasks import FailureReason, Superseded, TaskFailed
from libs.common.jetstream.inspection import ConsumerState, DeadLetter
from libs.common.launching.launches import Attempts
from libs.common.reviewing import Nothing, Review, Wait
from services.ops.why import Code, Seen, why
from tests.unit.ops.chains import (
    NOW,
    TASK,
    URL,
    A,
    B,
    chain,
    done,
    live,
    opened,
    published,
    requested,
)

IDLE = ConsumerState(name="reviewer", handled=9, pending=0, unacknowledged=0, waiting=1)
BEHIND = ConsumerState(name="reviewer", handled=0, pending=3, unacknowledged=1, waiting=0)
LETTER = DeadLetter(
    subject=f"mr.opened.42.7.{A[:16]}",
    service="reviewer",
    reason="the project's clone url is on another host than GITLAB_URL",
    attempts=1,
    seq=1,
    time=NOW,
)
FAILED = TaskFailed(task_id=TASK, head_sha=A, reason="auth", detail="HTTP 401 of the model")
OVERTAKEN = Superseded(task_id=TASK, head_sha=A, by="the merge request was closed")
RUNS = Attempts(count=2, at=NOW)

CASES: dict[str, tuple[Code, Seen, str, str]] = {
    "nothing arrived": (
        "no_event",
        Seen(live=live(), allowed=True),
        "no event about it has arrived",
        "webhook: `gca doctor`",
    ),
    "nothing arrived and GitLab is away": (
        "no_event",
        Seen(gitlab_problem="GitLab did not answer in time"),
        "GitLab was not asked: GitLab did not answer in time",
        "gca doctor",
    ),
    "a project that is not served": (
        "not_allowed",
        Seen(live=live(), allowed=False),
        "not in GITLAB_PROJECTS",
        "add the project to GITLAB_PROJECTS",
    ),
    "a number that GitLab does not know": (
        "gone",
        Seen(gone=True, allowed=True),
        "GitLab does not know",
        "check the number",
    ),
    "closed before anything arrived": (
        "closed",
        Seen(live=live(state="closed")),
        "is closed",
        "reopen",
    ),
    "merged with its review running": (
        "closed",
        Seen(history=chain(opened(), requested(), MrClosed(project_id=42, iid=7, state="merged")),
             live=live(state="merged")),
        "is merged",
        "reopen",
    ),
    "a draft": (
        "draft",
        Seen(history=chain(opened(draft=True)), live=live(draft=True),
             decision=Nothing("it is a draft (REVIEW_DRAFTS)", "draft"), reviewer=IDLE),
        "it is a draft",
        "REVIEW_DRAFTS",
    ),
    "no diff": (
        "no_diff",
        Seen(history=chain(opened()), live=live(diff_refs=None),
             decision=Nothing("it has no diff", "no_diff"), reviewer=IDLE),
        "no diff",
        "in GitLab",
    ),
    "the diff is not there yet": (
        "gitlab_not_ready",
        Seen(history=chain(opened()), live=live(),
             decision=Wait("GitLab has not made the diff yet"), reviewer=BEHIND),
        "GitLab has not made the diff yet",
        "wait",
    ),
    "GitLab prepares it and has told nobody": (
        "gitlab_not_ready",
        Seen(live=live(diff_refs=None), allowed=True),
        "has not made its diff yet",
        "background jobs",
    ),
    "GitLab away": (
        "gitlab_away",
        Seen(history=chain(opened()), gitlab_problem="GitLab answered 502", reviewer=BEHIND),
        "waits for GitLab: GitLab answered 502",
        "gca doctor",
    ),
    "the reviewer does not run": (
        "not_handled",
        Seen(history=chain(opened()), live=live(), decision=Review(TASK), reviewer=BEHIND),
        "has not dealt with its event yet (4 waiting or in hand)",
        "check that the reviewer runs",
    ),
    "a change that no webhook told": (
        "not_requested",
        Seen(history=chain(opened(draft=True)), live=live(), decision=Review(TASK), reviewer=IDLE),
        "was not told to us",
        "check the webhook",
    ),
    "a dead letter of the reviewer": (
        "dead_letter",
        Seen(history=chain(opened()), live=live(), decision=Review(TASK), letters=(LETTER,),
             reviewer=IDLE),
        "the reviewer gave up after 1 deliveries: the project's clone url is on another host",
        "mend that",
    ),
    "no slot": (
        "queued",
        Seen(history=chain(opened(), requested()), live=live(), held=frozenset({"x", "y"}),
             slots=2),
        "all 2 are in use",
        "MAX_CONCURRENT_TASKS",
    ),
    "no Job yet": (
        "starting",
        Seen(history=chain(opened(), requested()), live=live(), slots=2),
        "its Job has not started yet",
        "gca doctor --task",
    ),
    "running": (
        "running",
        Seen(history=chain(opened(), requested()), live=live(), held=frozenset({TASK}),
             launches={TASK: RUNS}),
        "(launch 2 of 3)",
        "TASK_TIMEOUT",
    ),
    "failed, the note is on its way": (
        "failed",
        Seen(history=chain(opened(), requested(), FAILED), live=live()),
        "failed (auth): HTTP 401 of the model",
        "gca doctor",
    ),
    "failed and told": (
        "failed",
        Seen(history=chain(opened(), requested(), FAILED, published("failed")), live=live()),
        "HTTP 401 of the model and a note says so",
        "gca doctor",
    ),
    "overtaken": (
        "superseded",
        Seen(history=chain(opened(), requested(), OVERTAKEN, published("superseded")),
             live=live()),
        "the merge request was closed",
        "push",
    ),
    "being published": (
        "publishing",
        Seen(history=chain(opened(), requested(), done()), live=live()),
        "is being posted",
        "GITLAB_TOKEN",
    ),
    "done, and GitLab is away": (
        "publishing",
        Seen(history=chain(opened(), requested(), done()), gitlab_problem="GitLab answered 503"),
        "waits for GitLab: GitLab answered 503",
        "gca doctor",
    ),
    "a dead letter of the publisher": (
        "dead_letter",
        Seen(history=chain(opened(), requested(), done()), live=live(),
             letters=(DeadLetter(subject="task.result", service="publisher", reason="403 Forbidden",
                                 attempts=3, seq=3, time=NOW),)),
        "the publisher gave up after 3 deliveries: 403 Forbidden",
        "mend that",
    ),
    "refused": (
        "refused",
        Seen(history=chain(opened(), requested(), done(), published("refused", detail="no right")),
             live=live()),
        "refused: no right",
        "push",
    ),
    "reviewed": (
        "reviewed",
        Seen(history=chain(opened(), requested(), done(), published()), live=live()),
        URL,
        "",
    ),
    "reviewed and merged since": (
        "reviewed",
        Seen(history=chain(opened(), requested(), done(), published()), live=live(state="merged")),
        URL,
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_reason_is_told_with_a_way_out(name):
    code, seen, text, mend = CASES[name]

    answer = why(seen)

    assert code == answer.code
    assert text in answer.text
    assert mend in answer.mend


def test_every_code_has_a_case():
    assert set(get_args(Code)) == {code for code, *_ in CASES.values()}


@pytest.mark.parametrize("reason", get_args(FailureReason))
def test_every_failure_has_a_way_out(reason):
    failed = TaskFailed(task_id=TASK, head_sha=A, reason=reason, detail="because")

    answer = why(Seen(history=chain(opened(), requested(), failed), live=live()))

    assert f"({reason}): because" in answer.text
    assert answer.mend


def test_a_review_of_an_older_head_is_no_review_of_this_one():
    history = chain(opened(), requested(), done(), published(), opened(B))

    answer = why(Seen(history=history, live=live(sha=B), decision=Review("t"), reviewer=IDLE))

    assert answer.code == "not_requested"


def test_an_old_dead_letter_does_not_hide_what_came_after_it():
    old = DeadLetter(
        subject="s", service="reviewer", reason="x", attempts=1, seq=1,
        time=NOW - timedelta(days=1),
    )  # fmt: skip
    seen = Seen(
        history=chain(opened(B), opened(draft=True)),
        live=live(draft=True),
        decision=Nothing("it is a draft", "draft"),
        letters=(old,),
        reviewer=IDLE,
    )

    assert why(seen).code == "draft"
