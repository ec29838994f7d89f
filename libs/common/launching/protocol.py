"""Launching as a port: one Job per task, named by the task, on one machine or a cluster.

Implemented by `local` (child processes) and, on a cluster, by Kubernetes Jobs; driven by the
reconciler only.
"""

from __future__ import annotations

import hashlib
from typing import Literal, Protocol

import msgspec

Phase = Literal["running", "exited"]


def job_name(kind: str, task_id: str) -> str:
    """The Job's name: derived from the task id, so that creating it twice is harmless."""
    return f"gca-{kind}-{hashlib.sha256(task_id.encode()).hexdigest()[:20]}"


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """All that a Job is told: which task, where to fetch it, and the token for that one task."""

    job_name: str
    task_id: str
    kind: str
    task_url: str
    """The task door's address of this task, `…/tasks/<task_id>`."""
    task_token: str
    timeout: int
    """Seconds of wall time for both steps together."""
    traceparent: str = ""

    def __repr__(self) -> str:
        """Without the token (SR-37)."""
        return f"Launch(job_name={self.job_name!r}, task_id={self.task_id!r})"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A Job as the launcher sees it; `reason` says in plain words why an exited one ended.

    `final`: the launcher knows that another launch would end the same. `launched_here`: by this
    replica, as far as replicas tell theirs apart.
    """

    job_name: str
    task_id: str
    phase: Phase
    reason: str = ""
    exit_code: int | None = None
    final: bool = False
    launched_here: bool = True


class Launcher(Protocol):
    """Starts, lists and ends Jobs; those three calls may raise `Temporary`."""

    async def launch(self, order: Launch) -> None:
        """Start the Job; one of that name that exists already is success."""
        ...

    async def jobs(self) -> list[Job]: ...

    async def cancel(self, job_name: str) -> None:
        """End the Job and forget it; one that is not there is success."""
        ...

    async def trouble(self) -> str | None:
        """Why Jobs are not known right now, for `/readyz`; None when all is well."""
        ...
