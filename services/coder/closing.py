"""Which open coding tasks nobody needs any more: pure, the policy of the coder's reconciler."""

from __future__ import annotations

from collections.abc import Iterable

from libs.common.events.envelope import Recorded
from libs.common.events.facts import MrClosed, MrOpened
from libs.common.launching.plan import OpenTask

CLOSED = "the merge request was closed"


def superseded(tasks: Iterable[OpenTask], records: Iterable[Recorded]) -> dict[str, str]:
    """Task id to why, for one merge request's open tasks; a question is answered all the same."""
    records = list(records)
    closed = max((r.seq for r in records if isinstance(r.event, MrClosed)), default=0)
    opened = max((r.seq for r in records if isinstance(r.event, MrOpened)), default=0)
    return {
        task.task_id: CLOSED
        for task in tasks
        if task.request.kind == "coding" and closed > max(opened, task.seq)
    }
