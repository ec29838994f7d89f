"""The session of a review: diff, tools, the model's findings. Called by `run`."""

from __future__ import annotations

import secrets
from pathlib import Path

import structlog
from copilot import Tool

from libs.common.diff import Diff
from libs.common.events.tasks import ReviewDone, TaskFailed
from libs.common.git.errors import GitError
from services.runner import fallback, gathering, prompt, submission
from services.runner.cli import NO_DEBUGGER
from services.runner.desk import Answer, Desk, Review
from services.runner.findings import LONGEST_SUMMARY
from services.runner.permissions import Walls
from services.runner.run import Task, failed, forget, hold, make_home
from services.runner.scope import Scope
from services.runner.servers import SETTING, Servers, options
from services.runner.session import SessionFailed, SessionOrder
from services.runner.tools import Arguments, GitTools, submit_tool

log = structlog.get_logger()


async def review(task: Task) -> ReviewDone | TaskFailed:
    """The review of this task's merge request."""
    diff, scope = await gathering.changes(task.contract.repository, task.spec)
    if not scope.reviewed:
        return done(task, scope, nothing_to_review(scope))
    desk = Desk(diff, most=task.spec.limits.max_findings)
    try:
        await hold(task, await _order(task, diff, scope, desk))
    except SessionFailed:
        if desk.best is None:
            raise
        log.warning("session failed after a review was submitted; it is kept")
    finally:
        await forget(task)
    found = desk.best or _from_words(task.heard.text, desk)
    if found is None:
        return failed(task, "no_result", "the model ended without a review")
    return done(task, scope, found)


async def _order(task: Task, diff: Diff, scope: Scope, desk: Desk) -> SessionOrder:
    clone, folder = task.clone, task.context
    target = task.contract.work_dir.resolve() / "target"
    documents = await gathering.target_documents(clone, [file.path for file in scope.reviewed])
    servers = await _servers(clone, target, allowed=task.ports.servers_allowed)
    context = prompt.Context(
        clone=clone,
        folder=folder,
        mark=f"DATA-{secrets.token_hex(6)}",
        servers=tuple(servers.tools),
    )
    files = prompt.context_files(task.spec, scope, documents, context)
    await gathering.write_files(folder, files)
    await make_home(task)
    reading = GitTools(folder=clone, refs=task.spec.diff_refs, diff=diff)
    return SessionOrder(
        cli=task.ports.cli,
        arguments=(NO_DEBUGGER,) if servers.found else (),
        environment=task.environment(),
        provider=task.ports.provider,
        folder=clone,
        walls=Walls.around(clone, folder, servers=servers.tools),
        tools=[*reading.all(), _submit_tool(desk, task)],
        system=prompt.system_message(prompt.ROLE, documents, context),
        prompt=prompt.user_message(task.spec, scope, context),
        timeout=0.0,
        servers={server.name: options(server, str(target)) for server in servers.found},
    )


async def _servers(clone: Path, copy: Path, *, allowed: bool) -> Servers:
    """The target branch's MCP servers, with a copy of that branch to run in; none by default."""
    asked = await gathering.target_servers(clone)
    names = sorted(asked.tools)
    if not allowed:
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


def _submit_tool(desk: Desk, task: Task) -> Tool:
    async def submit(arguments: Arguments) -> Answer:
        answer = desk.submit(arguments)
        if desk.hopeless:
            task.heard.gave_up.set()
        return answer

    return submit_tool(
        "submit_review",
        "Hand in the whole review, once. It is checked against the diff; when it is refused, "
        "mend it and call this again.",
        submission.schema(),
        submit,
    )


def done(task: Task, scope: Scope, found: Review) -> ReviewDone:
    return ReviewDone(
        task_id=task.spec.task_id,
        head_sha=task.spec.head_sha,
        summary=found.summary,
        findings=found.findings,
        files_reviewed=tuple(file.path for file in scope.reviewed),
        skipped=scope.skipped,
        usage=task.heard.usage,
        stages=task.heard.stages,
    )
