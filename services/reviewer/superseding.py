"""Which open review tasks nobody needs any more: pure, the policy of the reviewer's reconciler.

Of one merge request's open tasks only the newest runs; closing the merge request ends them all.
"""

from __future__ import annotations

from collections.abc import Sequence

from libs.common.events.envelope import Recorded
from libs.common.events.facts import MrClosed, MrOpened
from libs.common.events.tasks import TaskRequested


def superseded(history: Sequence[Recorded]) -> dict[str, str]:
    """Task id → what replaced it, for the review tasks of one merge request's history."""
    tasks = [r for r in history if isinstance(r.event, TaskRequested) and r.event.kind == "review"]
    if not tasks:
        return {}
    closed = max((r.seq for r in history if isinstance(r.event, MrClosed)), default=0)
    opened = max((r.seq for r in history if isinstance(r.event, MrOpened)), default=0)
    newest = max(tasks, key=lambda record: record.seq)
    found: dict[str, str] = {}
    for record in tasks:
        assert isinstance(record.event, TaskRequested)  # noqa: S101  # filtered above
        if closed > max(opened, record.seq):
            found[record.event.task_id] = "the merge request was closed"
        elif record is not newest:
            assert isinstance(newest.event, TaskRequested)  # noqa: S101  # filtered above
            found[record.event.task_id] = f"head {newest.event.head_sha[:12]}"
    return found
