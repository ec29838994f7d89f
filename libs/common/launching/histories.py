"""What the log says about tasks, kept between passes for those that are open.

Used by the reconciler. A full look finds open tasks by names alone, then reads the histories of
the merge requests they belong to; in between only what was woken is read again.
"""

from __future__ import annotations

from collections.abc import Iterable

from libs.common import subjects
from libs.common.errors import Permanent
from libs.common.events.envelope import Recorded
from libs.common.events.log import EventLog
from libs.common.events.tasks import Result, Superseded, TaskPublished, TaskRequested
from libs.common.launching.plan import EndedTask, OpenTask

Place = tuple[str, str]
"""Scope and ref of a merge request or an issue."""
_CHUNK = 50
_REQUESTED = "task.requested."
_RESULT = "task.result."
_PUBLISHED = "task.published."


def open_tasks(records: Iterable[Recorded], kinds: frozenset[str] | None = None) -> list[OpenTask]:
    """Requests of these kinds, else of all, without an end, oldest first."""
    records = list(records)
    over = {record.event.task_id for record in records if isinstance(record.event, Result)}
    return [
        OpenTask(
            request=record.event,
            seq=record.seq,
            requested_at=record.time,
            message_id=record.message_id,
            traceparent=record.traceparent,
        )
        for record in sorted(records, key=lambda record: record.seq)
        if isinstance(record.event, TaskRequested)
        and (kinds is None or record.event.kind in kinds)
        and record.event.task_id not in over
    ]


def ended_tasks(records: Iterable[Recorded], kinds: frozenset[str]) -> dict[str, EndedTask]:
    """Tasks of these kinds that have their end, by id."""
    records = list(records)
    ends = {record.event.task_id: record for record in records if isinstance(record.event, Result)}
    return {
        request.task_id: EndedTask(
            request=request,
            ended_at=ends[request.task_id].time,
            wanted=not isinstance(ends[request.task_id].event, Superseded),
        )
        for request in (record.event for record in records)
        if isinstance(request, TaskRequested) and request.kind in kinds and request.task_id in ends
    }


def unpublished(records: Iterable[Recorded]) -> bool:
    """Whether a coding task among these may still change its branch."""
    records = list(records)
    over = {record.event.task_id for record in records if isinstance(record.event, TaskPublished)}
    asked = (record.event for record in records if isinstance(record.event, TaskRequested))
    return any(request.kind == "coding" and request.task_id not in over for request in asked)


class Histories:
    """Histories of the merge requests and issues that have open tasks.

    With `until_published` those of coding tasks too that ended and are not published yet.
    """

    def __init__(self, events: EventLog, *, until_published: bool = False) -> None:
        self._events = events
        self._until_published = until_published
        self._known: dict[Place, list[Recorded]] = {}

    def by_place(self) -> list[list[Recorded]]:
        """What is known, one history per merge request or issue."""
        return list(self._known.values())

    async def look_everywhere(self) -> None:
        """Find all tasks that are not over, by the differences of lists of subject names."""
        requested = await self._events.subjects(f"{_REQUESTED}>")
        over = await self._events.subjects(f"{_RESULT}>")
        tails = {name.removeprefix(_REQUESTED) for name in requested}
        coding = {tail for tail in tails if subjects.last_token(tail).startswith("coding-")}
        tails -= {name.removeprefix(_RESULT) for name in over}
        if self._until_published:
            done = await self._events.subjects(f"{_PUBLISHED}>")
            tails |= coding - {name.removeprefix(_PUBLISHED) for name in done}
        self._known = await self._load({_place(_REQUESTED + tail) for tail in tails})

    async def look_at(self, woken: Iterable[str]) -> None:
        """Read again what these subjects belong to; the open task may be one of another replica.

        Each event is delivered to one replica, which seldom is the one that asked for the task.
        """
        self._known.update(await self._load({_place(subject) for subject in woken}))

    async def of_tasks(self, task_ids: Iterable[str]) -> list[Recorded]:
        """Requests and ends of these tasks, wherever they belong."""
        ids = sorted(task_id for task_id in task_ids if _is_token(task_id))
        found: list[Recorded] = []
        for start in range(0, len(ids), _CHUNK):
            filters = [f"task.*.*.*.{task_id}" for task_id in ids[start : start + _CHUNK]]
            found += await self._events.history(*filters)
        return found

    def forget_ended(self) -> None:
        """Keep only histories with a task that is still open, or not published if that counts.

        Of whatever kind: tasks of other services wait for the same slots.
        """
        self._known = {
            place: records
            for place, records in self._known.items()
            if open_tasks(records) or (self._until_published and unpublished(records))
        }

    async def _load(self, places: set[Place]) -> dict[Place, list[Recorded]]:
        found: dict[Place, list[Recorded]] = {place: [] for place in places}
        ordered = sorted(places)
        for start in range(0, len(ordered), _CHUNK):
            filters = [subjects.history(*place) for place in ordered[start : start + _CHUNK]]
            for record in await self._events.history(*filters):
                found[_place(record.subject)].append(record)
        return found


def _place(subject: str) -> Place:
    return subjects.scope_and_ref(subject)


def _is_token(task_id: str) -> bool:
    try:
        subjects.task_result("_", "_", task_id)
    except Permanent:
        return False
    return True
