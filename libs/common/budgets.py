"""Refusals of who asks too much or may not ask at all, and what ended tasks used (SR-43, SR-09).

Called by the services that request what a person wants. The first refusal of a kind is in words,
the others of the same hour are quiet.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from libs.common import subjects
from libs.common.appending import Refusal
from libs.common.events.envelope import Recorded
from libs.common.events.log import EventLog
from libs.common.events.tasks import (
    Answered,
    ChangesProposed,
    NothingToDo,
    Result,
    ReviewDone,
    TaskFailed,
    TaskRequested,
)
from libs.common.spending import Asker, Spending

_SESSION = ReviewDone | ChangesProposed | Answered | NothingToDo


class Ports(Protocol):
    """What counting touches; the ports of the service that asks."""

    @property
    def log(self) -> EventLog: ...

    @property
    def spending(self) -> Spending: ...


async def over_budget(wanted: TaskRequested, spending: Spending, now: datetime) -> Refusal | None:
    """None when the task may be asked for; then it is counted. Raises `Temporary`."""
    requester = wanted.requester
    place = f"{wanted.scope}.{wanted.ref}"
    user = f"{requester.user_id} {requester.account_id}" if requester else ""
    asker = Asker(place=place, user=user, project_id=wanted.project_id)
    used_up = await spending.take(wanted.task_id, asker, now)
    if not used_up:
        return None
    quiet = await spending.told(f"budget {place}", wanted.task_id)
    return Refusal(code="budget", detail=f"of the {used_up}", quiet=quiet)


async def too_low(wanted: TaskRequested, needed: str, spending: Spending) -> Refusal:
    """Of a role: in words once an hour, person and merge request."""
    user_id = wanted.requester.user_id if wanted.requester else 0
    quiet = await spending.told(f"access {wanted.scope}!{wanted.ref} {user_id}", wanted.task_id)
    return Refusal(code="access", needed=needed, quiet=quiet)


async def count_use(event: Recorded, result: Result, ports: Ports) -> None:
    """Take what a session used from the project's budgets of this hour.

    Not of reviews that nobody asked for: they are not held back by a budget.
    """
    tokens, seconds = _use(result)
    if not tokens and not seconds:
        return
    scope, ref = subjects.scope_and_ref(event.subject)
    found = await ports.log.last(subjects.task_requested(scope, ref, result.task_id))
    request = found.event if found is not None else None
    if not isinstance(request, TaskRequested):
        return
    if request.kind != "review" or request.requester is not None:
        use = (tokens, seconds)
        await ports.spending.used(result.task_id, request.project_id, use, event.time)


def _use(result: Result) -> tuple[int, float]:
    """Tokens, and seconds of clone and session together, as the Job says."""
    tokens, seconds = 0, 0.0
    if isinstance(result, _SESSION):
        tokens = max(result.usage.input_tokens, 0) + max(result.usage.output_tokens, 0)
        seconds = result.usage.seconds
    if isinstance(result, _SESSION | TaskFailed):
        seconds = max(seconds, sum(result.stages.values()))
    return tokens, max(seconds, 0.0)
