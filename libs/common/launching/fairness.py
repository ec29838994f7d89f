"""Who starts next when there are more tasks than slots: round robin over projects, pure.

Called by `plan`. Within a project the oldest request is first. Between projects it is the one with
the fewest running tasks, then the one that has waited longest since its last start or its request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from libs.common.launching.plan import OpenTask

PATIENCE = timedelta(seconds=10)
"""How long a slot is left to a task of another service before that service counts as absent."""
ABSENCE = timedelta(seconds=120)
"""How long an absent service is passed over."""


def fair(
    waiting: Iterable[OpenTask],
    running: Mapping[int, int],
    turns: Mapping[int, datetime],
    now: datetime,
) -> list[OpenTask]:
    """All that wait, in the order to start them.

    By project_id, `running` counts what holds a slot and `turns` says when it last got one.
    """
    queues: dict[int, list[OpenTask]] = {}
    for task in sorted(waiting, key=lambda task: task.seq, reverse=True):
        queues.setdefault(task.request.project_id, []).append(task)
    load, served = dict(running), dict(turns)

    def rank(project: int) -> tuple[int, datetime, bool, int]:
        head = queues[project][-1]
        since = max(served.get(project, head.requested_at), head.requested_at)
        return load.get(project, 0), since, project in served, head.seq

    found: list[OpenTask] = []
    while queues:
        project = min(queues, key=rank)
        found.append(queues[project].pop())
        load[project], served[project] = load.get(project, 0) + 1, now
        if not queues[project]:
            del queues[project]
    return found


class Courtesy:
    """To which kinds of tasks of other services slots are left, and for how long.

    Who does not come (its service is down, its task waits for others) is passed over for a while.
    """

    def __init__(self) -> None:
        self._since: dict[str, datetime] = {}

    def is_due(self, kind: str, now: datetime) -> bool:
        """Whether a slot may be left to a task of this kind."""
        waited = now - self._since.get(kind, now)
        return waited < PATIENCE

    def left(self, kinds: Iterable[str], now: datetime) -> None:
        """To which kinds this pass left slots."""
        kinds = set(kinds)
        self._since = {
            kind: since
            for kind, since in self._since.items()
            if timedelta(0) <= now - since < PATIENCE + ABSENCE
            and (kind in kinds or now - since >= PATIENCE)
        }
        for kind in kinds:
            self._since.setdefault(kind, now)
