"""The step `run`: fetch the spec, hold the session of its kind, hand in its one end.

Called by `wiring` with a session for each kind of task; `review`, `coding` and `ask` are those. It
always hands in an end: what the session made, or a typed failure.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec
import structlog

from libs.common.clock import Clock
from libs.common.errors import AgentError, cut
from libs.common.events.tasks import FailureReason, TaskFailed, TaskKind, TaskRequested
from libs.common.git.errors import GitError
from libs.common.launching.contract import Contract, ExitCode
from services.runner import state
from services.runner.cli import cli_environment
from services.runner.deadline import Deadline
from services.runner.door import AnyResult, TaskDoor
from services.runner.echo import echoed
from services.runner.fitting import fitted
from services.runner.session import Heard, Provider, SessionFailed, SessionOrder

log = structlog.get_logger()
Conversation = Callable[[SessionOrder, Heard], Awaitable[None]]


class SessionPorts(msgspec.Struct, frozen=True, kw_only=True):
    """What the step works with."""

    door: TaskDoor
    clock: Clock
    provider: Provider
    cli: Path
    cache: Path | None
    converse: Conversation
    environment: dict[str, str]
    """The runner's own environment, of which the CLI gets an allow-list."""
    servers_allowed: bool = False
    """Whether MCP servers that the target branch asks for are started."""
    unsandboxed_allowed: bool = False
    """Whether a session with a shell may run where no wall can be built."""
    in_pod: bool = False
    """Whether the Job is a pod of its own, which is wall enough; see `pod`."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One task under way; `heard` fills while its session runs."""

    contract: Contract
    ports: SessionPorts
    spec: TaskRequested
    deadline: Deadline
    heard: Heard

    @property
    def clone(self) -> Path:
        """The clone, and the working directory of the session."""
        return self.contract.repository.resolve()

    @property
    def context(self) -> Path:
        """The session's folder of long texts, which it reads."""
        return self.contract.work_dir.resolve() / "context"

    @property
    def home(self) -> Path:
        """The CLI's HOME, of this session only."""
        return self.contract.work_dir.resolve() / "home"

    def environment(self) -> dict[str, str]:
        return cli_environment(
            self.ports.environment,
            home=self.home,
            cache=self.ports.cache,
            ca_bundle=self.contract.ca_bundle,
        )


class CannotStart(AgentError):
    """There is no place where this task's session could run; the text says what would help."""


Session = Callable[[Task], Awaitable[AnyResult]]


async def run_task(
    contract: Contract, ports: SessionPorts, sessions: Mapping[TaskKind, Session]
) -> ExitCode:
    """Do the task and hand in; raises what the task door raises."""
    cloned = state.read(contract.work_dir)
    now = ports.clock.now().timestamp()
    started = contract.started_at or (cloned.started_at if cloned else now)
    spec = await ports.door.fetch(Deadline.of(started, contract.timeout).work)
    deadline = Deadline.of(started, min(contract.timeout, spec.limits.timeout))
    if spec.kind == "echo":
        fetched = ports.clock.now().timestamp()
        answer = echoed(spec, started_at=started, fetched_at=fetched)
        await ports.door.hand_in(answer, deadline.end)
        return ExitCode.DONE
    stages = {"clone": round(cloned.seconds, 3)} if cloned else {}
    task = Task(
        contract=contract, ports=ports, spec=spec, deadline=deadline, heard=Heard(stages=stages)
    )
    result = await _end_of(task, sessions)
    await ports.door.hand_in(fitted(result), deadline.end)
    log.info("result handed in", result=type(result).__name__, stages=stages)
    return ExitCode.DONE


async def _end_of(task: Task, sessions: Mapping[TaskKind, Session]) -> AnyResult:
    kind = task.spec.kind
    if kind not in sessions:
        return failed(task, "internal", f"this runner does not know tasks of kind {kind}")
    try:
        return await sessions[kind](task)
    except (GitError, SessionFailed) as error:
        return failed(task, error.reason, str(error))
    except CannotStart as error:
        return failed(task, "launch", str(error))
    except Exception as error:
        log.exception("session failed", kind=kind)
        return failed(task, "internal", cut(f"{type(error).__name__}: {error}"))


async def hold(task: Task, order: SessionOrder) -> None:
    """The conversation, for what is left of the task's time; raises `SessionFailed`."""
    left = task.deadline.work - task.ports.clock.now().timestamp()
    try:
        await task.ports.converse(msgspec.structs.replace(order, timeout=left), task.heard)
    finally:
        await forget(task)


async def forget(task: Task) -> None:
    """The CLI writes the whole conversation below its HOME."""
    await asyncio.to_thread(shutil.rmtree, task.home, ignore_errors=True)


async def make_home(task: Task) -> None:
    """A HOME of this session only, made anew."""

    def make() -> None:
        shutil.rmtree(task.home, ignore_errors=True)
        (task.home / "tmp").mkdir(parents=True, exist_ok=True)

    await asyncio.to_thread(make)


def failed(task: Task, reason: FailureReason, detail: str) -> TaskFailed:
    log.warning("task failed", reason=reason, detail=detail)
    return TaskFailed(
        task_id=task.spec.task_id,
        head_sha=task.spec.head_sha,
        reason=reason,
        detail=detail,
        stages=task.heard.stages,
    )
