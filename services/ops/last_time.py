"""What became of a fact, and whether a replay of it would do anything: pure. Called by `replay`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from libs.common import replaying, subjects
from libs.common.asking import OLDEST
from libs.common.errors import cut
from libs.common.events.envelope import Recorded
from libs.common.events.facts import JiraReady, MrClosed, MrOpened, NoteCommand
from libs.common.events.tasks import (
    Refused,
    RefusedCode,
    Result,
    Superseded,
    TaskFailed,
    TaskPublished,
    TaskRequested,
)
from libs.common.jetstream.letters import DeadLetter
from services.ops.screen import REFUSALS, left

Word = Literal["done", "failed", "refused", "dead letter", "superseded", "open", "nothing"]
MAY_PASS: frozenset[RefusedCode] = frozenset({"budget", "no_branch", "no_project"})
"""Refusals that were about that hour or about settings, not about the person or the request."""


class Last(msgspec.Struct, frozen=True, kw_only=True):
    """What happened last time; `text` says more for people."""

    word: Word
    text: str
    may_pass: bool = False
    """A refusal that another time may not meet."""

    @property
    def is_failure(self) -> bool:
        return self.word in {"failed", "dead letter"} or self.may_pass


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """All that the log has of one merge request or issue."""

    history: Sequence[Recorded]
    letters: Sequence[DeadLetter] = ()

    def tasks(self, fact: Recorded) -> list[TaskRequested]:
        """The tasks of a fact, oldest first."""
        return [request for request in self.requests() if _is_of(request, fact)]

    def requests(self) -> list[TaskRequested]:
        return [r.event for r in self.history if isinstance(r.event, TaskRequested)]

    def result(self, task_id: str) -> Result | None:
        found = (r.event for r in self.history if isinstance(r.event, Result))
        return next((event for event in found if event.task_id == task_id), None)

    def published(self, task_id: str) -> TaskPublished | None:
        found = (r.event for r in self.history if isinstance(r.event, TaskPublished))
        return next((event for event in found if event.task_id == task_id), None)


def _is_of(request: TaskRequested, fact: Recorded) -> bool:
    match fact.event:
        case MrOpened() as opened:
            return _reviews(request, opened)
        case NoteCommand(note_id=note_id):
            return request.asked_in is not None and request.asked_in.note_id == note_id
        case JiraReady():
            return replaying.first_id(request.task_id) == _of_issue(fact)
    return False


def _reviews(request: TaskRequested, opened: MrOpened) -> bool:
    return request.kind == "review" and request.head_sha == opened.head_sha


def _of_issue(fact: Recorded) -> str:
    scope, ref = subjects.scope_and_ref(fact.subject)
    return f"coding-{scope}-{ref}-{subjects.last_token(fact.subject)}"


def last_time(fact: Recorded, past: Past) -> Last:
    """What became of the newest task of the fact, or why there is none."""
    tasks = past.tasks(fact)
    if not tasks:
        return _letter(past, fact.subject) or Last(word="nothing", text="no task came of it")
    task_id = tasks[-1].task_id
    result, published = past.result(task_id), past.published(task_id)
    if published is not None and published.outcome == "posted":
        return Last(word="done", text=_left(published))
    match result:
        case TaskFailed():
            return Last(word="failed", text=f"{result.reason}: {cut(result.detail)}")
        case Refused(code=code):
            return Last(word="refused", text=REFUSALS[code], may_pass=code in MAY_PASS)
        case Superseded(by=by):
            return Last(word="superseded", text=f"by {cut(by)}")
    if published is not None:
        word: Word = "superseded" if published.outcome == "superseded" else "failed"
        return Last(word=word, text=cut(published.detail))
    dead = _letter(past, *(f"*.*.*.*.{one.task_id}" for one in tasks[-1:]))
    if dead is not None:
        return dead
    return Last(word="open", text="being published" if result else "its task is open")


def _left(published: TaskPublished) -> str:
    return f"{left(published)} {published.web_url}".strip()


def _letter(past: Past, *filters: str) -> Last | None:
    for letter in reversed(past.letters):
        if any(subjects.covers(one, letter.original) for one in filters):
            text = f"{letter.id} of the {letter.service}: {cut(letter.reason)}"
            return Last(word="dead letter", text=text)
    return None


def pointless(fact: Recorded, past: Past, now: datetime) -> str:
    """Why a replay of this fact would do nothing; empty when it would do something."""
    event = fact.event
    match event:
        case MrOpened():
            return _no_review(event, past)
        case NoteCommand() if now - event.created_at >= OLDEST:
            return "older than 24 hours, and commands that old never run"
        case JiraReady():
            return _no_work(replaying.tasks_of(_of_issue(fact), past.history), past)
    tasks = past.tasks(fact)
    if tasks and tasks[-1].kind == "review":
        return "its review is running" if past.result(tasks[-1].task_id) is None else ""
    return _no_work({task.task_id for task in tasks}, past)


def _no_review(event: MrOpened, past: Past) -> str:
    newest = [r.event for r in past.history if isinstance(r.event, MrOpened | MrClosed)]
    match newest[-1:]:
        case [MrClosed(state=state)]:
            return f"the merge request was {state}"
        case [MrOpened(head_sha=head_sha)] if head_sha != event.head_sha:
            return f"the newest head is {head_sha[:12]}"
    mine = [request for request in past.requests() if _reviews(request, event)]
    running = any(past.result(request.task_id) is None for request in mine)
    return "its review is running" if running else ""


def _no_work(task_ids: set[str], past: Past) -> str:
    match replaying.standing(task_ids, past.history):
        case "done":
            return "it is done, and nothing is done twice"
        case "open":
            return "it is on its way"
        case _:
            return ""
