"""Why a merge request has no review, in one sentence with a way out: pure, from what was seen.

Called by `events`, which gathers what `Seen` holds. The reviewer's own decision is part of it, so
that this never says anything else than what the reviewer does.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from libs.common import reviewing
from libs.common.errors import cut
from libs.common.events.envelope import Recorded
from libs.common.events.facts import MrOpened
from libs.common.events.tasks import (
    FailureReason,
    Result,
    Superseded,
    TaskFailed,
    TaskPublished,
    TaskRequested,
)
from libs.common.gitlab.models import MergeRequest
from libs.common.jetstream.inspection import ConsumerState, DeadLetter
from libs.common.launching.launches import Attempts

Code = Literal[
    "reviewed",
    "no_event",
    "not_allowed",
    "gone",
    "closed",
    "draft",
    "no_diff",
    "gitlab_not_ready",
    "gitlab_away",
    "not_handled",
    "not_requested",
    "queued",
    "starting",
    "running",
    "publishing",
    "failed",
    "refused",
    "superseded",
    "dead_letter",
]
"""One word per reason, for programs; texts may change."""
_WAYS_OUT: dict[FailureReason, str] = {
    "clone": "check that GITLAB_READ_TOKEN may read the repository (`gca doctor`)",
    "auth": "check the keys of GitLab and of the model (`gca doctor`)",
    "timeout": "raise TASK_TIMEOUT, or check how fast the model answers (`gca doctor`)",
    "model": "check the model provider (`gca doctor`)",
    "no_result": "try another COPILOT_MODEL; this one ended without handing in a review",
    "launch": "check that Jobs can start (`gca doctor --task`) and look at their logs",
    "internal": "look at the Job's log; this is a mistake of ours",
}
_AGAIN = "then push, or close and reopen, to have it tried again"


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: a word for programs, a sentence, and what to do (nothing when all is well)."""

    code: Code
    text: str
    mend: str = ""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the answer depends on.

    `live` is the merge request as GitLab shows it now; without it `gitlab_problem` says why, and
    `gone` that GitLab does not know it. `decision` is the reviewer's for the newest event.
    `held` are tasks with a slot, of `slots`.
    """

    history: tuple[Recorded, ...] = ()
    live: MergeRequest | None = None
    gitlab_problem: str = ""
    gone: bool = False
    decision: reviewing.Decision | None = None
    allowed: bool | None = None
    letters: tuple[DeadLetter, ...] = ()
    reviewer: ConsumerState | None = None
    publisher: ConsumerState | None = None
    held: frozenset[str] = frozenset()
    slots: int = 1
    launches: dict[str, Attempts] = {}

    def opened(self) -> Recorded | None:
        """The newest event that could have led to a review."""
        found = [record for record in self.history if isinstance(record.event, MrOpened)]
        return max(found, key=lambda record: record.seq, default=None)

    def task(self) -> TaskRequested | None:
        """The newest review task."""
        found = [record for record in self.history if isinstance(record.event, TaskRequested)]
        newest = max(found, key=lambda record: record.seq, default=None)
        return newest.event if newest and isinstance(newest.event, TaskRequested) else None

    def result(self, task_id: str) -> Recorded | None:
        for record in self.history:
            if isinstance(record.event, Result) and record.event.task_id == task_id:
                return record
        return None

    def published(self, task_id: str) -> TaskPublished | None:
        for record in self.history:
            if isinstance(record.event, TaskPublished) and record.event.task_id == task_id:
                return record.event
        return None


def why(seen: Seen) -> Why:
    """Where the merge request is on its way to a review, and what holds it there."""
    opened, task = seen.opened(), seen.task()
    if opened is None and task is None:
        return _unheard(seen)
    posted = task is not None and seen.published(task.task_id)
    if task is not None and posted and posted.outcome == "posted" and _is_current(task, seen):
        return Why(code="reviewed", text=f"this head has its review: {posted.web_url}")
    if seen.gone:
        return Why(code="gone", text="GitLab does not know this merge request any more")
    if seen.live is not None and seen.live.state != "opened":
        return _closed(seen.live)
    if task is not None and _is_current(task, seen):
        return _on_its_way(task, seen)
    return _not_asked_for(opened, seen)


def _is_current(task: TaskRequested, seen: Seen) -> bool:
    live = seen.live
    if live is None:
        return True
    return (task.head_sha, task.target_branch) == (live.sha, live.target_branch)


def _closed(live: MergeRequest) -> Why:
    return Why(
        code="closed",
        text=f"the merge request is {live.state}, and only open ones are reviewed",
        mend="reopen it to have it reviewed",
    )


def _unheard(seen: Seen) -> Why:
    """Nothing in the log: it was not sent, not taken, or there is nothing to send."""
    if seen.allowed is False:
        return Why(
            code="not_allowed",
            text="its project is not in GITLAB_PROJECTS, so its events are not taken",
            mend="add the project to GITLAB_PROJECTS and start ingest again",
        )
    if seen.gone:
        return Why(
            code="gone",
            text="GitLab does not know this merge request, or the bot may not see it",
            mend="check the number, and the bot's role in the project (`gca doctor`)",
        )
    if seen.live is not None and seen.live.state != "opened":
        return _closed(seen.live)
    if seen.live is not None and seen.live.diff_refs is None:
        return Why(
            code="gitlab_not_ready",
            text="GitLab has not made its diff yet, and sends the event when it has",
            mend="wait a moment; if it stays so, look at GitLab's own background jobs",
        )
    unsure = "" if seen.live is not None else f" (GitLab was not asked: {seen.gitlab_problem})"
    return Why(
        code="no_event",
        text=f"no event about it has arrived from GitLab{unsure}",
        mend="check the project's webhook: `gca doctor` says what is wrong with it; events that "
        "were lost do not come again, so push afterwards",
    )


def _not_asked_for(opened: Recorded | None, seen: Seen) -> Why:
    """An event arrived and this head has no task."""
    seq = opened.seq if opened is not None else 0
    letter = _letter(seen, "reviewer", seq)
    if letter is not None:
        return letter
    match seen.decision:
        case reviewing.Nothing(code="draft"):
            return Why(
                code="draft",
                text="it is a draft, and drafts are not reviewed",
                mend="mark it ready, or set REVIEW_DRAFTS=true",
            )
        case reviewing.Nothing(code="no_diff"):
            return Why(
                code="no_diff",
                text="GitLab made no diff of it, so there is nothing to review",
                mend=f"look at the merge request in GitLab; {_AGAIN}",
            )
        case reviewing.Nothing(code="reviewed"):
            return Why(code="reviewed", text="this head was reviewed before; the log forgot how")
        case reviewing.Wait(why=what):
            return Why(
                code="gitlab_not_ready",
                text=f"{what}; the reviewer looks again every few seconds",
                mend="wait a moment; if it stays so, look at GitLab's own background jobs",
            )
        case _:
            return _unanswered(seq, seen)


def _unanswered(seq: int, seen: Seen) -> Why:
    """A review is due and was not asked for."""
    if seen.gitlab_problem:
        return Why(
            code="gitlab_away",
            text=f"the reviewer waits for GitLab: {seen.gitlab_problem}",
            mend="mend the connection or the token (`gca doctor`); it goes on by itself",
        )
    state = seen.reviewer
    if state is None or state.handled < seq:
        waiting = state.pending + state.unacknowledged if state is not None else 0
        return Why(
            code="not_handled",
            text=f"the reviewer has not dealt with its event yet ({waiting} waiting or in hand)",
            mend="check that the reviewer runs and reaches GitLab (`gca doctor`)",
        )
    return Why(
        code="not_requested",
        text="its last event did not call for a review, and what changed since was not told to us",
        mend=f"check the webhook (`gca doctor`), {_AGAIN}",
    )


def _on_its_way(task: TaskRequested, seen: Seen) -> Why:
    result, published = seen.result(task.task_id), seen.published(task.task_id)
    failure = result.event if result and isinstance(result.event, TaskFailed) else None
    if failure is not None:
        told = " and a note says so" if published else ""
        return Why(
            code="failed",
            text=f"the review failed ({failure.reason}): {cut(failure.detail)}{told}",
            mend=f"{_WAYS_OUT[failure.reason]}; {_AGAIN}",
        )
    if result and isinstance(result.event, Superseded):
        return _superseded(result.event.by)
    if published is not None:
        return _ended(published)
    if result is not None:
        return _letter(seen, "publisher", result.seq) or _publishing(seen)
    return _open(task, seen)


def _ended(published: TaskPublished) -> Why:
    if published.outcome == "superseded":
        return _superseded(published.detail)
    return Why(
        code="refused" if published.outcome == "refused" else "failed",
        text=f"its review ended as {published.outcome}: {cut(published.detail)}",
        mend=_AGAIN.removeprefix("then "),
    )


def _superseded(by: str) -> Why:
    return Why(
        code="superseded",
        text=f"its review was overtaken ({cut(by)}), and what overtook it calls for no other",
        mend="push, or close and reopen, to have it reviewed",
    )


def _publishing(seen: Seen) -> Why:
    if seen.gitlab_problem:
        text = f"the review is done and waits for GitLab: {seen.gitlab_problem}"
        return Why(code="publishing", text=text, mend="mend that (`gca doctor`); it goes on then")
    return Why(
        code="publishing",
        text="the review is done and is being posted",
        mend="wait a moment; if it stays so, check GITLAB_TOKEN and the publisher (`gca doctor`)",
    )


def _open(task: TaskRequested, seen: Seen) -> Why:
    attempts = seen.launches.get(task.task_id, Attempts())
    if task.task_id in seen.held:
        since = f" since {attempts.at.astimezone():%H:%M:%S}" if attempts.at else ""
        return Why(
            code="running",
            text=f"its review is running{since} (launch {attempts.count} of {task.max_launches})",
            mend=f"wait; it is ended after {task.limits.timeout} s at the latest (TASK_TIMEOUT)",
        )
    if len(seen.held) >= seen.slots:
        return Why(
            code="queued",
            text=f"its review waits for a free slot: all {seen.slots} are in use",
            mend="wait, or raise MAX_CONCURRENT_TASKS",
        )
    return Why(
        code="starting",
        text="its review was asked for and its Job has not started yet",
        mend="wait a moment; if it stays so, check the reviewer (`gca doctor --task`)",
    )


def _letter(seen: Seen, service: str, seq: int) -> Why | None:
    found = [letter for letter in seen.letters if letter.service == service and letter.seq >= seq]
    if not found:
        return None
    letter = found[-1]
    return Why(
        code="dead_letter",
        text=f"the {service} gave up after {letter.attempts} deliveries: {cut(letter.reason)}",
        mend=f"mend that, {_AGAIN}",
    )
