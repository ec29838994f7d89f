"""Which open review tasks nobody needs any more: pure, the policy of the reviewer's reconciler.

Of one merge request's open tasks only the newest runs; closing the merge request ends them all.
Of tasks for the same diff one that a person asked for wins, so that the person gets an answer.
"""

from __future__ import annotations

from collections.abc import Sequence

from libs.common import subjects
from libs.common.events.envelope import Recorded
from libs.common.events.facts import MrClosed, MrOpened
from libs.common.events.tasks import Result
from libs.common.reviewing import request_of, reviews


def superseded(history: Sequence[Recorded]) -> dict[str, str]:
    """Task id → what replaced it, for the review tasks of one merge request's history."""
    tasks = reviews(history)
    if not tasks:
        return {}
    closed = max((r.seq for r in history if isinstance(r.event, MrClosed)), default=0)
    opened = max((r.seq for r in history if isinstance(r.event, MrOpened)), default=0)
    runs = _runs(tasks, history)
    found: dict[str, str] = {}
    for task in tasks:
        task_id = request_of(task).task_id
        if closed > max(opened, task.seq):
            found[task_id] = "the merge request was closed"
        elif task is not runs:
            found[task_id] = _newer(task, runs)
    return found


def _runs(tasks: Sequence[Recorded], history: Sequence[Recorded]) -> Recorded:
    """The one that may run: the newest, or one for the same diff that a person waits for."""
    newest = max(tasks, key=lambda task: task.seq)
    ended = {subjects.last_token(r.subject) for r in history if isinstance(r.event, Result)}
    asked = [
        task
        for task in tasks
        if request_of(task).asked_in is not None
        and _diff(task) == _diff(newest)
        and request_of(task).task_id not in ended
    ]
    return max(asked, key=lambda task: task.seq, default=newest)


def _newer(task: Recorded, runs: Recorded) -> str:
    if _diff(task) == _diff(runs):
        return "another review of the same head"
    return f"head {request_of(runs).head_sha[:12]}"


def _diff(task: Recorded) -> tuple[str, str]:
    request = request_of(task)
    return request.head_sha, request.target_branch
