"""The step `clone`: the merge request's commits into the work folder. Called by `wiring`.

It holds the git token and no model key; it runs nothing of the repository (SR-15).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from libs.common import telemetry
from libs.common.clock import Clock
from libs.common.events.tasks import TaskFailed, TaskRequested
from libs.common.git.clone import ClonedRepository, CloneOrder
from libs.common.git.errors import GitError, GitTimedOut, HostAway
from libs.common.launching.contract import Contract, ExitCode
from services.runner import state
from services.runner.deadline import Deadline
from services.runner.door import TaskDoor

log = structlog.get_logger()
TRIES = 3
Cloner = Callable[[CloneOrder], Awaitable[ClonedRepository]]


class ClonePorts(msgspec.Struct, frozen=True, kw_only=True):
    """What the step works with; `clone` already holds the token."""

    door: TaskDoor
    clone: Cloner
    clock: Clock
    allow_http: bool = False


async def clone_step(contract: Contract, ports: ClonePorts) -> ExitCode:
    """Clone for the task; a failure is handed in as the task's end, then there is no `run`."""
    started = contract.started_at or ports.clock.now().timestamp()
    first = Deadline.of(started, contract.timeout)
    spec = await ports.door.fetch(first.work)
    deadline = Deadline.of(started, min(contract.timeout, spec.limits.timeout))
    if spec.kind == "echo":
        log.info("nothing to clone", task_id=spec.task_id)
        return ExitCode.DONE
    began = ports.clock.now().timestamp()
    log.info("clone started", task_id=spec.task_id)
    try:
        order = clone_order(contract, spec, deadline.work - began, allow_http=ports.allow_http)
        with telemetry.span("clone repository"):
            await _clone(order, ports, deadline)
    except GitError as error:
        seconds = ports.clock.now().timestamp() - began
        log.warning("clone failed", reason=error.reason, detail=str(error))
        await ports.door.hand_in(_failed(spec, error, seconds), deadline.end)
        return ExitCode.TASK_FAILED
    seconds = ports.clock.now().timestamp() - began
    contract.work_dir.mkdir(parents=True, exist_ok=True)
    state.write(contract.work_dir, state.CloneState(started_at=started, seconds=seconds))
    log.info("clone finished", seconds=round(seconds, 2))
    return ExitCode.DONE


def clone_order(
    contract: Contract, spec: TaskRequested, timeout: float, *, allow_http: bool
) -> CloneOrder:
    """What to fetch: head, base, and the target branch for its instructions (SR-12)."""
    return CloneOrder(
        folder=contract.repository,
        clone_url=spec.clone_url,
        head_sha=spec.diff_refs.head_sha,
        base_sha=spec.diff_refs.base_sha,
        start_sha=spec.diff_refs.start_sha,
        target_branch=spec.target_branch,
        iid=spec.iid,
        timeout=timeout,
        ca_bundle=contract.ca_bundle or None,
        allow_http=allow_http,
    )


async def _clone(order: CloneOrder, ports: ClonePorts, deadline: Deadline) -> ClonedRepository:
    """Try again, a few times, only while the host is away."""
    for attempt in range(1, TRIES):
        try:
            return await ports.clone(order)
        except HostAway as away:
            log.warning("clone tried again", attempt=attempt, detail=str(away))
            await asyncio.sleep(min(away.delay, 5.0))
    left = deadline.work - ports.clock.now().timestamp()
    if left <= 0:
        raise GitTimedOut("the clone took all of the task's time")
    return await ports.clone(msgspec.structs.replace(order, timeout=left))


def _failed(spec: TaskRequested, error: GitError, seconds: float) -> TaskFailed:
    return TaskFailed(
        task_id=spec.task_id,
        head_sha=spec.head_sha,
        reason=error.reason,
        detail=str(error),
        stages={"clone": round(seconds, 3)},
    )
