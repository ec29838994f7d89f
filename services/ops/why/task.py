"""How far a task that was asked for has come: pure. Called by `review`, `command` and `issue`."""

from __future__ import annotations

import msgspec

from libs.common.errors import cut
from libs.common.events.tasks import (
    Refused,
    RefusedCode,
    Superseded,
    TaskFailed,
    TaskPublished,
    TaskRequested,
)
from libs.common.jetstream.letters import DeadLetter
from libs.common.launching.launches import Attempts
from services.ops.screen import REFUSALS
from services.ops.why.answer import WAYS_OUT, Why
from services.ops.why.evidence import Seen


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """What the task is called, whose service starts it, and how to have it tried again."""

    noun: str
    service: str
    again: str


REFUSED_WAYS_OUT: dict[RefusedCode, str] = {
    "access": "have somebody with that role ask, or change the role in GitLab "
    "(MIN_ROLE_READ, MIN_ROLE_WRITE)",
    "moved": "ask again, for the new head",
    "protected": "ask in a merge request from another branch",
    "no_branch": "restore the source branch, then ask again",
    "fork": "let the merge request take commits from members, then ask again",
    "closed": "reopen it, then ask again",
    "internal_note": "ask in a note that everybody may read",
    "restricted_issue": "take the security level off the issue, then move it again",
    "no_project": "check JIRA_PROJECT_MAP, GITLAB_PROJECTS and the bot's role (`gca doctor`)",
    "budget": "wait an hour, or raise the limits (docs/configuration.md)",
}


def on_its_way(task: TaskRequested, seen: Seen, words: Words) -> Why:
    """A task that was requested, and not posted as wanted."""
    result, published = seen.result(task.task_id), seen.published(task.task_id)
    event = result.event if result else None
    match event:
        case TaskFailed():
            return _failed(event, words, told=published is not None)
        case Refused():
            return _refused(event, words)
        case Superseded():
            return superseded(event.by, words)
    if published is not None:
        return _ended(published, words)
    if result is not None:
        return letter(seen, "publisher", result.seq, words.again) or _publishing(seen, words)
    return _open(task, seen, words)


def _failed(failure: TaskFailed, words: Words, *, told: bool) -> Why:
    note = " and a note says so" if told else ""
    return Why(
        code="failed",
        text=f"the {words.noun} failed ({failure.reason}): {cut(failure.detail)}{note}",
        mend=f"{WAYS_OUT[failure.reason]}; {words.again}",
    )


def _refused(event: Refused, words: Words) -> Why:
    needed = f"; it takes {event.needed}" if event.needed else ""
    detail = f" ({cut(event.detail)})" if event.detail else ""
    quiet = ", and it was not said again in a note" if event.quiet else ""
    return Why(
        code="refused",
        text=f"the {words.noun} was refused: {REFUSALS[event.code]}{needed}{detail}{quiet}",
        mend=REFUSED_WAYS_OUT[event.code],
    )


def _ended(published: TaskPublished, words: Words) -> Why:
    if published.outcome == "superseded":
        return superseded(published.detail, words)
    return Why(
        code="refused" if published.outcome == "refused" else "failed",
        text=f"its {words.noun} ended as {published.outcome}: {cut(published.detail)}",
        mend=words.again.removeprefix("then "),
    )


def superseded(by: str, words: Words) -> Why:
    return Why(
        code="superseded",
        text=f"its {words.noun} was overtaken ({cut(by)}), and what overtook it calls for no other",
        mend=words.again.removeprefix("then "),
    )


def _publishing(seen: Seen, words: Words) -> Why:
    if seen.gitlab_problem:
        text = f"the {words.noun} is done and waits for GitLab: {seen.gitlab_problem}"
        return Why(code="publishing", text=text, mend="mend that (`gca doctor`); it goes on then")
    return Why(
        code="publishing",
        text=f"the {words.noun} is done and is being posted",
        mend="wait a moment; if it stays so, check GITLAB_TOKEN and the publisher (`gca doctor`)",
    )


def _open(task: TaskRequested, seen: Seen, words: Words) -> Why:
    attempts = seen.launches.get(task.task_id, Attempts())
    if task.task_id in seen.held:
        since = f" since {attempts.at.astimezone():%H:%M:%S}" if attempts.at else ""
        launch = f"launch {attempts.count} of {task.max_launches}"
        return Why(
            code="running",
            text=f"its {words.noun} is running{since} ({launch})",
            mend=f"wait; it is ended after {task.limits.timeout} s at the latest (TASK_TIMEOUT)",
        )
    before = _before(task, seen)
    if before is not None:
        return Why(
            code="held",
            text=f"its {words.noun} waits for {before.task_id}: one at a time changes a branch",
            mend="wait; it starts when that one is published",
        )
    if len(seen.held) >= seen.slots:
        return Why(
            code="queued",
            text=f"its {words.noun} waits for a free slot: all {seen.slots} are in use",
            mend="wait, or raise MAX_CONCURRENT_TASKS",
        )
    return Why(
        code="starting",
        text=f"its {words.noun} was asked for and its Job has not started yet",
        mend=f"wait a moment; if it stays so, check the {words.service} (`gca doctor --task`)",
    )


def _before(task: TaskRequested, seen: Seen) -> TaskRequested | None:
    """The coding task of the same branch that was asked for earlier and has not been published."""
    if task.push is None:
        return None
    branch = (task.push.project_id, task.push.branch)
    for record in seen.history:
        other = record.event
        if not isinstance(other, TaskRequested) or other.push is None:
            continue
        if other.task_id == task.task_id:
            return None
        same = (other.push.project_id, other.push.branch) == branch
        if same and seen.published(other.task_id) is None:
            return other
    return None


def letter(seen: Seen, service: str, seq: int, again: str) -> Why | None:
    """The newest dead letter of an event at or after `seq`, when this service has one."""
    found = [letter for letter in seen.letters if letter.service == service and letter.seq >= seq]
    return gave_up(found[-1], again) if found else None


def gave_up(last: DeadLetter, again: str) -> Why:
    return Why(
        code="dead_letter",
        text=f"the {last.service} gave up after {last.attempts} deliveries: {cut(last.reason)}",
        mend=f"mend that, then put it back (`gca dead-letters retry {last.id}`), "
        f"or {again.removeprefix('then ')}",
    )
