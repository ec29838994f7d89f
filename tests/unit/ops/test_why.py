"""Why there is no review, no commit, no merge request: each reason has its word and its way out."""

from __future__ import annotations

from datetime import timedelta
from typing import get_args

import msgspec
import pytest

from libs.common.events.facts import JiraReady, MrClosed
from libs.common.events.tasks import (
    ChangesProposed,
    FailureReason,
    Refused,
    RefusedCode,
    Superseded,
    TaskFailed,
    TaskPublished,
)
from libs.common.jetstream.inspection import ConsumerState
from libs.common.jetstream.letters import DeadLetter
from libs.common.launching.launches import Attempts
from libs.common.reviewing import Nothing, Review, Wait
from services.ops.why.answer import Code
from services.ops.why.command import why_command, why_issue
from services.ops.why.evidence import Seen
from services.ops.why.review import why_review as why
from tests.unit.ops.chains import (
    CODING,
    ISSUE_TASK,
    NOTE,
    NOW,
    TASK,
    URL,
    A,
    B,
    asked,
    chain,
    coding,
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
    "reviewed, and GitLab is away": (
        "reviewed",
        Seen(history=chain(opened(), requested(), done(), published()), gitlab_problem="no answer"),
        f"head {A[:12]} has its review",
        "",
    ),
    "reviewed, and out of the bot's sight since": (
        "gone",
        Seen(history=chain(opened(), requested(), done(), published()), gone=True),
        "or the bot may not see it",
        "the bot's role",
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
    cases = {code for code, *_ in (*CASES.values(), *COMMANDS.values(), *ISSUES.values())}
    assert set(get_args(Code)) == cases


CODER = ConsumerState(name="coder", handled=9, pending=0, unacknowledged=0, waiting=1)
LATE = ConsumerState(name="coder", handled=0, pending=1, unacknowledged=1, waiting=0)
DONE = published(task_id=CODING, commit_sha=A, branch="topic", web_url=URL)
PROPOSED = ChangesProposed(task_id=CODING, head_sha=A, subject="s", summary="s", files=("a",))
BUSY = frozenset({"x", "y"})
EARLIER = "coding-42-7-n554"

COMMANDS: dict[str, tuple[Code, Seen, str, str]] = {
    "the coder does not run": (
        "not_handled", Seen(history=chain(asked()), coder=LATE, reviewer=IDLE),
        "the coder has not dealt with the command yet (2 waiting or in hand)", "coder runs",
    ),
    "there is no coder at all": (
        "not_handled", Seen(history=chain(asked()), reviewer=IDLE), "the coder has not",
        "gca doctor",
    ),
    "GitLab is away": (
        "gitlab_away", Seen(history=chain(asked()), coder=LATE, gitlab_problem="GitLab said 502"),
        "waits for GitLab: GitLab said 502", "goes on by itself",
    ),
    "edited since": (
        "ignored",
        Seen(history=chain(asked()), coder=CODER, reviewer=IDLE, ignored={NOTE: "it was edited"}),
        "left alone: it was edited", "in a new note",
    ),
    "nobody gave up and nobody says why": (
        "ignored", Seen(history=chain(asked()), coder=CODER, reviewer=IDLE),
        "looked at and left alone", "in a new note",
    ),
    "a dead letter": (
        "dead_letter",
        Seen(history=chain(asked()), coder=CODER,
             letters=(msgspec.structs.replace(LETTER, service="coder"),)),
        "the coder gave up after 1 deliveries", "ask again in a new note",
    ),
    "another task changes the branch": (
        "held",
        Seen(history=chain(asked(), coding(task_id=EARLIER), coding())),
        f"waits for {EARLIER}: one at a time", "when that one is published",
    ),
    "all slots are taken": (
        "queued", Seen(history=chain(asked(), coding()), held=BUSY, slots=2), "all 2", "MAX_",
    ),
    "asked for": (
        "starting", Seen(history=chain(asked(), coding()), slots=2), "has not started", "the coder",
    ),
    "running": (
        "running",
        Seen(history=chain(asked(), coding()), held=frozenset({CODING}), launches={CODING: RUNS}),
        "its change is running", "TASK_TIMEOUT",
    ),
    "pushed soon": (
        "publishing", Seen(history=chain(asked(), coding(), PROPOSED)), "the change is done",
        "publisher",
    ),
    "no wall": (
        "failed",
        Seen(history=chain(asked(), coding(), msgspec.structs.replace(
            FAILED, task_id=CODING, reason="launch", detail="bubblewrap does not work"))),
        "bubblewrap does not work", "gca doctor",
    ),
    "refused": (
        "refused",
        Seen(history=chain(asked(), coding(),
                           Refused(task_id=CODING, head_sha=A, code="access", needed="Developer"))),
        "does not reach; it takes Developer", "MIN_ROLE_WRITE",
    ),
    "the patch did not apply": (
        "refused",
        Seen(history=chain(asked(), coding(), PROPOSED,
                           published("refused", task_id=CODING, detail="the branch moved"))),
        "ended as refused: the branch moved", "ask again",
    ),
    "closed meanwhile": (
        "superseded",
        Seen(history=chain(asked(), coding(), Superseded(task_id=CODING, head_sha=A, by="closed"))),
        "overtaken (closed)", "ask again",
    ),
    "done": (
        "done", Seen(history=chain(asked(), coding(), PROPOSED, DONE)),
        f"commit {A[:12]} on topic", "",
    ),
    "done on a newer head": (
        "done",
        Seen(history=chain(asked(), coding(), coding(B, f"{CODING}-p2"),
                           Superseded(task_id=CODING, head_sha=A, by="x", next_task_id="y"),
                           published(task_id=f"{CODING}-p2", commit_sha=B, branch="topic"))),
        f"commit {B[:12]} on topic", "",
    ),
    "a review that was asked for": (
        "done",
        Seen(history=chain(asked("/copilot review"), requested(task_id=f"{TASK}-n{NOTE}"),
                           published(task_id=f"{TASK}-n{NOTE}", summary_note_id=9))),
        URL, "",
    ),
}  # fmt: skip

READY = JiraReady(
    issue_key="PROJ-12", change_id="7", status="AI Ready", project_id=42, summary="Greet"
)
OF_ISSUE = msgspec.structs.replace(
    coding(task_id=ISSUE_TASK), asked_in=None, scope="PROJ", ref="12"
)
ISSUES: dict[str, tuple[Code, Seen, str, str]] = {
    "never moved": ("no_event", Seen(allowed=True, trigger_status="Bot"), "to Bot", "gca doctor"),
    "a project that is not mapped": ("not_allowed", Seen(allowed=False), "MAP", "JIRA_PROJECT_MAP"),
    "the coder does not run": (
        "not_handled", Seen(history=chain(READY), coder=LATE), "dealt with the issue", "coder runs",
    ),
    "the coder gave up": (
        "dead_letter",
        Seen(history=chain(READY), letters=(msgspec.structs.replace(LETTER, service="coder"),)),
        "the coder gave up", "and back",
    ),
    "left alone": ("ignored", Seen(history=chain(READY), coder=CODER), "left it alone", "and back"),
    "refused": (
        "refused",
        Seen(history=chain(READY, OF_ISSUE,
                           Refused(task_id=ISSUE_TASK, head_sha=A, code="restricted_issue"))),
        "only some people", "security level",
    ),
    "done": (
        "done",
        Seen(history=chain(READY, OF_ISSUE, published(task_id=ISSUE_TASK, merge_request_iid=8))),
        "Draft merge request !8", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_that_did_nothing_is_told_with_a_way_out(name):
    code, seen, text, mend = COMMANDS[name]

    answer = why_command(seen.commands()[0], seen)

    assert code == answer.code
    assert text in answer.text
    assert mend in answer.mend
    assert bool(answer.mend) == (code != "done")


@pytest.mark.parametrize("name", ISSUES)
def test_each_issue_that_did_nothing_is_told_with_a_way_out(name):
    code, seen, text, mend = ISSUES[name]

    answer = why_issue(seen)

    assert code == answer.code
    assert text in answer.text
    assert mend in answer.mend


@pytest.mark.parametrize("code", get_args(RefusedCode))
def test_every_refusal_has_words_and_a_way_out(code):
    refused = Refused(task_id=CODING, head_sha=A, code=code, detail="because")
    seen = Seen(history=chain(asked(), coding(), refused))

    answer = why_command(seen.commands()[0], seen)

    assert "refused" == answer.code
    assert "because" in answer.text
    assert answer.mend


def test_a_refused_review_takes_no_review_away():
    again = f"{TASK}-n{NOTE}"
    refused = Refused(task_id=again, head_sha=A, code="access", needed="Reporter")
    history = chain(opened(), requested(), done(), published(), requested(task_id=again), refused)

    assert "reviewed" == why(Seen(history=history, live=live())).code


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


def test_a_command_that_was_replayed_is_judged_by_its_newest_task():
    again = f"{CODING}-rnight"
    failed = TaskFailed(task_id=CODING, head_sha=A, reason="model")
    told = TaskPublished(task_id=again, outcome="posted", commit_sha=A, branch="topic")
    history = chain(asked(), coding(), failed, coding(task_id=again), told)
    seen = Seen(history=history)

    assert "done" == why_command(seen.commands()[0], seen).code
