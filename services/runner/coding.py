"""The session of a change to code: wall, tools, and the patch of what it made. Called by `run`."""

from __future__ import annotations

import asyncio
import secrets

import structlog
from copilot import Tool

from libs.common.events.tasks import ChangesProposed, NothingToDo, TaskFailed
from libs.common.git import read as git
from libs.common.launching.contract import CLI_CACHE
from services.runner import coding_prompt, fallback, gathering, hygiene, pod, prompt, submission
from services.runner.change_desk import LONGEST_SUMMARY, Change, ChangeDesk
from services.runner.cli import NO_DEBUGGER, unpack
from services.runner.desk import Answer
from services.runner.own_git import OwnGit
from services.runner.permissions import Walls
from services.runner.run import CannotStart, Task, failed, forget, hold, make_home
from services.runner.session import SessionFailed, SessionOrder
from services.runner.submission import SubmittedChange
from services.runner.tools import Arguments, GitTools, submit_tool
from services.runner.wall import CLI, Rooms, wall

log = structlog.get_logger()


async def coding(task: Task) -> ChangesProposed | NothingToDo | TaskFailed:
    """The change that this task asks for; raises `CannotStart` where there is no wall."""
    own = await _own_git(task)
    desk = ChangeDesk(own.propose)
    try:
        await hold(task, await _order(task, own, desk))
    except SessionFailed:
        if desk.best is None:
            raise
        log.warning("session failed after a change was submitted; it is kept")
    finally:
        await forget(task)
    change = desk.best or await _from_words(task.heard.text, desk, own)
    if change is None:
        return failed(task, "no_result", "the model ended without handing in a change")
    return _result(task, change)


async def _own_git(task: Task) -> OwnGit:
    """The git directory that the patch is made with, beside the clone, before the session."""
    folder = task.contract.work_dir.resolve() / "own"
    own = await OwnGit.made(folder, task.clone, task.spec.head_sha)
    lines = "".join(f"{line}\n" for line in hygiene.lines(own.tracked))

    def exclude() -> None:
        for place in (folder, task.clone):
            (place / ".git" / "info").mkdir(exist_ok=True)
            (place / ".git" / "info" / "exclude").write_text(lines)

    await asyncio.to_thread(exclude)
    return own


async def _order(task: Task, own: OwnGit, desk: ChangeDesk) -> SessionOrder:
    diff, scope = await gathering.changes(own.folder, task.spec)
    documents = await gathering.target_documents(task.clone, None)
    mark = f"DATA-{secrets.token_hex(6)}"
    context = prompt.Context(clone=task.clone, folder=task.context, mark=mark)
    files = prompt.context_files(task.spec, scope, documents, context)
    await gathering.write_files(task.context, files)
    await make_home(task)
    environment, command = await _wall(task)
    gitignore = await git.show(own.folder, task.spec.head_sha, ".gitignore") or b""
    missing = hygiene.missing(own.tracked, gitignore.decode(errors="replace"))
    said = [
        prompt.system_message(coding_prompt.ROLE, documents, context),
        coding_prompt.ignored_note(missing),
    ]
    reading = GitTools(folder=own.folder, refs=task.spec.diff_refs, diff=diff)
    return SessionOrder(
        cli=CLI if command else task.ports.cli,
        wall=command,
        arguments=(NO_DEBUGGER,),
        environment=environment,
        provider=task.ports.provider,
        folder=task.clone,
        walls=Walls.around(task.clone, task.context, kind="coding"),
        tools=[*reading.all(), _submit_tool(desk, task)],
        system="\n\n".join(filter(None, said)),
        prompt=coding_prompt.user_message(task.spec, scope, context),
        timeout=0.0,
    )


async def _wall(task: Task) -> tuple[dict[str, str], tuple[str, ...]]:
    """The session's environment and the command of its wall, empty when there is none."""
    environment, cache, cli = task.environment(), task.ports.cache, task.ports.cli.absolute()
    if task.ports.in_pod:
        if problem := await asyncio.to_thread(pod.problem, cli):
            raise CannotStart(f"a coding session has a shell and needs a wall, but {problem}")
        return environment, ()
    whole = cache is not None and await unpack(cli, cache, environment)
    authorities = [task.contract.ca_bundle] if task.contract.ca_bundle else []
    rooms = Rooms(
        clone=task.clone,
        home=task.home,
        readable=(str(task.context), *authorities),
        cli=cli,
        shell=task.contract.work_dir.resolve() / "shell",
        cache=cache if whole else None,
    )
    command = await wall(rooms, environment, needed=not task.ports.unsandboxed_allowed)
    if command:
        # Inside, the cache is below HOME: the shared part read-only, the rest of this session.
        environment.pop(CLI_CACHE, None)
    return environment, command


def _submit_tool(desk: ChangeDesk, task: Task) -> Tool:
    async def submit(arguments: Arguments) -> Answer:
        answer = await desk.submit(arguments)
        if desk.hopeless:
            task.heard.gave_up.set()
        return answer

    return submit_tool(
        "submit_change",
        "Hand in the change, once: the files that you changed on purpose, and words for the "
        "commit and the person who asked; or that there is nothing to do.",
        submission.schema(SubmittedChange),
        submit,
    )


async def _from_words(text: str, desk: ChangeDesk, own: OwnGit) -> Change | None:
    """What a model without tools said: its JSON; or plain words, when no file is changed."""
    text = str(submission.encodable(text)).strip()
    for value in fallback.objects(text):
        if isinstance(value, dict) and ("files" in value or "nothing_to_do" in value):
            await desk.submit(value)
            if desk.best is not None:
                return desk.best
    if text and not await own.changed():
        return Change(subject="", summary=text[:LONGEST_SUMMARY])
    return None


def _result(task: Task, change: Change) -> ChangesProposed | NothingToDo:
    spec, heard = task.spec, task.heard
    if not change.proposal.files:
        return NothingToDo(
            task_id=spec.task_id,
            head_sha=spec.head_sha,
            summary=change.summary,
            usage=heard.usage,
            stages=heard.stages,
        )
    return ChangesProposed(
        task_id=spec.task_id,
        head_sha=spec.head_sha,
        subject=change.subject,
        summary=change.summary,
        files=change.proposal.files,
        left_out=change.proposal.left_out,
        patch=change.proposal.patch,
        usage=heard.usage,
        stages=heard.stages,
    )
