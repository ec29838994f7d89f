"""Replays: a fact that an operator appends again, and what may come of it. Pure.

`gca replay` appends; reviewer and coder ask here under which id the work is done once more. The id
of a replay is part of the message id and of the task id, so the same replay twice is one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Literal

from libs.common.events.envelope import Recorded
from libs.common.events.tasks import (
    Answered,
    Refused,
    Result,
    Superseded,
    TaskFailed,
    TaskPublished,
    TaskRequested,
)

REPLAY_ID = re.compile(r"[A-Za-z0-9_]{1,24}")
"""It becomes a part of task ids."""
_AGAIN = re.compile(r"(?P<first>.+?)(?:-r[A-Za-z0-9_]{1,24})?(?:-p[1-9][0-9]{0,3})?")
Standing = Literal["new", "open", "done", "ended"]
"""Of work that was asked for: never begun; on its way; done for good; ended and may be repeated."""


def message_id(replay_id: str, of: str) -> str:
    """Of the event that repeats the one with message id `of`."""
    return f"replay-{replay_id}-{of}"


def replay_id(record: Recorded) -> str:
    """Of which replay the event is; empty for one that was seen outside."""
    name = record.message_id.removeprefix("replay-").removesuffix(f"-{record.replay_of}")
    is_ours = record.replay_of and message_id(name, record.replay_of) == record.message_id
    return name if is_ours and REPLAY_ID.fullmatch(name) else ""


def again(task_id: str, replay: str) -> str:
    """The id under which a replay has the work of `task_id` done; the same id without one."""
    return f"{task_id}-r{replay}" if replay else task_id


def first_id(task_id: str) -> str:
    """The id under which the work was asked for first, without replay and without pin."""
    found = _AGAIN.fullmatch(task_id)
    return found["first"] if found else task_id


def next_id(first: str, replay: str, history: Iterable[Recorded]) -> str:
    """The id under which a replayed command is served; empty when nothing is to be done.

    Work that is done is never done again, so that no commit, merge request or answer is doubled.
    """
    records = list(history)
    tasks = tasks_of(first, records)
    mine = again(first, replay)
    if mine in tasks:
        return mine
    match standing(tasks, records):
        case "new":
            return first
        case "ended":
            return mine
        case _:
            return ""


def tasks_of(first: str, history: Iterable[Recorded]) -> set[str]:
    """Ids of all tasks of one command or status change."""
    return {
        record.event.task_id
        for record in history
        if isinstance(record.event, TaskRequested) and first_id(record.event.task_id) == first
    }


def standing(task_ids: Collection[str], history: Iterable[Recorded]) -> Standing:
    """How far work is that has these tasks."""
    if not task_ids:
        return "new"
    results: dict[str, Result] = {}
    published: dict[str, TaskPublished] = {}
    for record in history:
        match record.event:
            case Result(task_id=task_id) as result if task_id in task_ids:
                results[task_id] = result
            case TaskPublished(task_id=task_id) as event if task_id in task_ids:
                published[task_id] = event
    ends = [_standing(results.get(one), published.get(one)) for one in task_ids]
    return next((word for word in _STRONGEST_FIRST if word in ends), "ended")


_STRONGEST_FIRST: tuple[Standing, ...] = ("done", "open", "ended")
_LEAVES_NOTHING = (TaskFailed, Refused, Superseded)


def _standing(result: Result | None, published: TaskPublished | None) -> Standing:
    if published is not None and (published.commit_sha or published.merge_request_iid):
        return "done"
    if result is None:
        return "open"
    if published is None:
        return "ended" if isinstance(result, _LEAVES_NOTHING) else "open"
    if isinstance(result, Answered) and published.outcome == "posted":
        return "done"
    # A proposed change without a commit was refused; a change of nothing may be another next time.
    return "ended"
