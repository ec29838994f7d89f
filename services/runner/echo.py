"""The task of `gca doctor --task`: no clone, no model, only the way there and back. Pure.

Called by the step `run`; the step `clone` has nothing to do for it.
"""

from __future__ import annotations

from libs.common.events.tasks import Echoed, TaskRequested


def echoed(spec: TaskRequested, *, started_at: float, fetched_at: float) -> Echoed:
    """What is handed in; both times in seconds since 1970, of this machine's clock."""
    return Echoed(
        task_id=spec.task_id,
        head_sha=spec.head_sha,
        started_at=started_at,
        stages={"spec": round(max(fetched_at - started_at, 0.0), 3)},
    )
