"""The step `run` for a review: spec, diff, session, result. Called by `wiring`.

It always hands in an end: the review, or a typed failure.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import structlog

from libs.common.clock import Clock
from libs.common.diff import Diff
from libs.common.errors import cut
from libs.common.events.tasks import FailureReason, ReviewDone, TaskFailed, TaskRequested
from libs.common.git.errors import GitError
from libs.common.launching.contract import Contract, ExitCode
from services.runner import fallback, gathering, prompt, state, submission
from services.runner.cli import cli_environment
from services.runner.deadline import Deadline
from services.runner.desk import Desk, Review
from services.runner.door import TaskDoor
from services.runner.echo import echoed
from services.runner.findings import LONGEST_SUMMARY
from services.runner.fitting import fitted
from services.runner.permissions import Walls
from services.runner.scope import Scope
from services.runner.servers import SETTING, Servers, options
from services.runner.session import Heard, Provider, SessionFailed, SessionOrder
from services.runner.tools import ReviewTools

log = structlog.get_logger()
Conversation = Callable[[SessionOrder, Heard], Awaitable[None]]


class ReviewPorts(msgspec.Struct, frozen=True, kw_only=True):
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


async def review_step(contract: Contract, ports: ReviewPorts) -> ExitCode:
    """Review and hand in; raises what the task door raises."""
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
    try:
        result = await _result(contract, ports, spec, deadline, stages)
    except GitError as error:
        result = failed(spec, error.reason, str(error), stages)
    except SessionFailed as error:
        result = failed(spec, error.reason, str(error), stages)
    except Exception as error:
        log.exception("review failed")
        result = failed(spec, "internal", cut(f"{type(error).__name__}: {error}"), stages)
    await ports.door.hand_in(fitted(result), deadline.end)
    log.info("result handed in", result=type(result).__name__, stages=stages)
    return ExitCode.DONE


async def _result(
    contract: Contract,
    ports: ReviewPorts,
    spec: TaskRequested,
    deadline: Deadline,
    stages: dict[str, float],
) -> ReviewDone | TaskFailed:
    if spec.kind != "review":
        return failed(spec, "internal", f"this runner does not know tasks of kind {spec.kind}", {})
    diff, scope = await gathering.changes(contract.repository, spec)
    if not scope.reviewed:
        return done(spec, scope, nothing_to_review(scope), Heard(), stages)
    desk = Desk(diff, most=spec.limits.max_findings)
    heard = Heard(stages=stages)
    home = contract.work_dir / "home"
    try:
        order = await _order(contract, ports, spec, (diff, scope, desk, heard))
        order = msgspec.structs.replace(
            order, timeout=deadline.work - ports.clock.now().timestamp()
        )
        await ports.converse(order, heard)
    except SessionFailed:
        if desk.best is None:
            raise
        log.warning("session failed after a review was submitted; it is kept")
    finally:
        # The CLI writes the whole conversation below its HOME.
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)
    review = desk.best or _from_words(heard.text, desk)
    if review is None:
        return failed(spec, "no_result", "the model ended without a review", stages)
    return done(spec, scope, review, heard, stages)


async def _order(
    contract: Contract,
    ports: ReviewPorts,
    spec: TaskRequested,
    made: tuple[Diff, Scope, Desk, Heard],
) -> SessionOrder:
    diff, scope, desk, heard = made
    clone, folder = contract.repository.resolve(), contract.work_dir.resolve() / "context"
    home = contract.work_dir.resolve() / "home"
    documents = await gathering.target_documents(clone, scope)
    servers = await _servers(clone, contract.work_dir.resolve() / "target", ports)
    context = prompt.Context(
        clone=clone,
        folder=folder,
        mark=f"DATA-{secrets.token_hex(6)}",
        servers=tuple(servers.tools),
    )
    await gathering.write_files(folder, prompt.context_files(spec, scope, documents, context))
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    tools = ReviewTools(
        folder=clone,
        refs=spec.diff_refs,
        diff=diff,
        desk=desk,
        give_up=heard.gave_up.set,
    )
    return SessionOrder(
        cli=ports.cli,
        environment=cli_environment(
            ports.environment, home=home, cache=ports.cache, ca_bundle=contract.ca_bundle
        ),
        provider=ports.provider,
        folder=clone,
        walls=Walls.around(clone, folder, servers=servers.tools),
        tools=tools.all(),
        system=prompt.system_message(documents, context),
        prompt=prompt.user_message(spec, scope, context),
        timeout=0.0,
        servers={
            server.name: options(server, str(contract.work_dir.resolve() / "target"))
            for server in servers.found
        },
    )


async def _servers(clone: Path, copy: Path, ports: ReviewPorts) -> Servers:
    """The target branch's MCP servers, with a copy of that branch to run in; none by default."""
    asked = await gathering.target_servers(clone)
    names = sorted(asked.tools)
    if not ports.servers_allowed:
        if names or asked.left_out:
            log.warning("mcp servers of the repository are ignored", servers=names, setting=SETTING)
        return Servers()
    for why in asked.left_out:
        log.warning("mcp server left out", why=why)
    if not names:
        return Servers()
    try:
        await gathering.write_target(clone, copy)
    except GitError as error:
        log.warning("mcp servers left out", servers=names, why=str(error))
        return Servers()
    log.info("mcp servers allowed", servers=names)
    return asked


def _from_words(text: str, desk: Desk) -> Review | None:
    """What a model without tools said: its JSON, else all of it as the summary."""
    text = str(submission.encodable(text)).strip()
    if not text:
        return None
    found = fallback.arguments(text)
    if found is not None:
        desk.submit(found)
        if desk.best is not None:
            return desk.best
    return Review(summary=text[:LONGEST_SUMMARY], findings=())


def nothing_to_review(scope: Scope) -> Review:
    """No session for a change without a line to review."""
    words = "Every changed file was skipped." if scope.skipped else "There are no changes."
    return Review(summary=f"Nothing to review. {words}", findings=())


def done(
    spec: TaskRequested, scope: Scope, review: Review, heard: Heard, stages: dict[str, float]
) -> ReviewDone:
    return ReviewDone(
        task_id=spec.task_id,
        head_sha=spec.head_sha,
        summary=review.summary,
        findings=review.findings,
        files_reviewed=tuple(file.path for file in scope.reviewed),
        skipped=scope.skipped,
        usage=heard.usage,
        stages=stages,
    )


def failed(
    spec: TaskRequested, reason: FailureReason, detail: str, stages: dict[str, float]
) -> TaskFailed:
    log.warning("task failed", reason=reason, detail=detail)
    return TaskFailed(
        task_id=spec.task_id, head_sha=spec.head_sha, reason=reason, detail=detail, stages=stages
    )
