"""Why a merge request has no review, in one sentence with a way out: pure, from what was seen.

Called by `events`, which gathers what `Seen` holds. The reviewer's own decision is part of it, so
that this never says anything else than what the reviewer does.
"""

from __future__ import annotations

from libs.common import reviewing
from libs.common.events.envelope import Recorded
from libs.common.events.tasks import TaskRequested
from libs.common.gitlab.models import MergeRequest
from services.ops.why import task as tasks
from services.ops.why.answer import Why
from services.ops.why.evidence import Seen
from services.ops.why.task import Words

_AGAIN = "then push, or close and reopen, to have it tried again"
_WORDS = Words(noun="review", service="reviewer", again=_AGAIN)


def why_review(seen: Seen) -> Why:
    """Where the merge request is on its way to a review, and what holds it there."""
    opened, task = seen.opened(), seen.task()
    if opened is None and task is None:
        return _unheard(seen)
    if seen.gone:
        return Why(
            code="gone",
            text="GitLab does not know this merge request any more, or the bot may not see it",
            mend="check the bot's role in the project (`gca doctor`)",
        )
    posted = task is not None and seen.published(task.task_id)
    if task is not None and posted and posted.outcome == "posted" and _is_current(task, seen):
        head = "this head" if seen.live is not None else f"head {task.head_sha[:12]}"
        return Why(code="reviewed", text=f"{head} has its review: {posted.web_url}")
    if seen.live is not None and seen.live.state != "opened":
        return _closed(seen.live)
    if task is not None and _is_current(task, seen):
        return tasks.on_its_way(task, seen, _WORDS)
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
    letter = tasks.letter(seen, "reviewer", seq, _AGAIN)
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
