"""The part of the log that a decision about a branch needs. Called by the handlers."""

from __future__ import annotations

from libs.common import replaying, subjects
from libs.common.events.envelope import Recorded
from libs.common.events.log import EventLog
from libs.common.events.tasks import TaskRequested

_REQUESTED, _PUBLISHED = "task.requested.", "task.published."


async def task_id(first: str, event: Recorded, log: EventLog) -> str:
    """The id under which this event is served; empty when a replay has nothing to do.

    `first` is the one for work that was never asked for.
    """
    replay = replaying.replay_id(event)
    if not replay:
        return first
    place = subjects.scope_and_ref(event.subject)
    return replaying.next_id(first, replay, await log.history(subjects.history(*place)))


async def is_settled(scope: int | str, ref: int | str, task_id: str, log: EventLog) -> bool:
    """Whether it was decided before: the task may start, or it has its end."""
    asked = await log.last(subjects.task_requested(scope, ref, task_id))
    if asked is None or not isinstance(asked.event, TaskRequested):
        return False
    if asked.event.max_launches:
        return True
    return await log.last(subjects.task_result(scope, ref, task_id)) is not None


async def of_branches(scope: str, ref: str, log: EventLog) -> list[Recorded]:
    """The history of one merge request or issue, and of all others that may share its branch.

    Two merge requests of a project may come from one branch; those without a coding task that is
    not published yet say nothing about turns.
    """
    places = {(scope, ref)}
    if scope.isdecimal():
        asked = await log.subjects(f"{_REQUESTED}{scope}.*.*")
        over = await log.subjects(f"{_PUBLISHED}{scope}.*.*")
        tails = {name.removeprefix(_REQUESTED) for name in asked}
        tails -= {name.removeprefix(_PUBLISHED) for name in over}
        coding = (tail for tail in tails if subjects.last_token(tail).startswith("coding-"))
        places |= {subjects.scope_and_ref(_REQUESTED + tail) for tail in coding}
    return await log.history(*(subjects.history(*place) for place in sorted(places)))
