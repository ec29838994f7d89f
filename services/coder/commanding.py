"""Serves a command of a merge request: help, a question, a change of code.

Called by `handlers` for each `note.command`. Everything is read again from the API (SR-03), then
decided by the pure rules of `refusing` and `pinning`, then appended. Nothing here waits for a Job.
"""

from __future__ import annotations

import msgspec
import structlog

from libs.common import appending, budgets, serving
from libs.common.appending import Refusal
from libs.common.asking import Asked, Denied, Ignored, look_up
from libs.common.commands import Command, command
from libs.common.errors import Temporary
from libs.common.events.envelope import Recorded
from libs.common.events.facts import NoteCommand
from libs.common.events.tasks import Answered, PushTarget, TaskKind, TaskRequested
from libs.common.gitlab.models import Project
from services.coder import heads, history, looking, pinning, refusing, spec, turns
from services.coder.advancing import advance
from services.coder.ports import Ports

log = structlog.get_logger()


async def on_note(event: Recorded, note: NoteCommand, ports: Ports) -> None:
    """Request what the note asks for, once; raises `Temporary` while GitLab is not ready."""
    agent = await ports.agent.user()
    heard = command(note.text, agent.username)
    if heard is None or heard.name == "review":
        return
    kind: TaskKind = "coding" if heard.name == "code" else "ask"
    first = spec.task_id(kind, note.project_id, note.iid, note.note_id)
    task_id = await history.task_id(first, event, ports.log)
    if not task_id:
        log.info("replay ignored", task_id=first, why="its work is done, or on its way")
        return
    if await history.is_settled(note.project_id, note.iid, task_id, ports.log):
        if kind == "coding":
            await advance(str(note.project_id), str(note.iid), event, ports)
        return
    looked = await look_up(
        note, gitlab=ports.gitlab, agent=agent, levels=ports.policy.levels, now=ports.clock.now()
    )
    if isinstance(looked, Ignored):
        log.info("command ignored", task_id=task_id, why=looked.why)
        return
    project = await serving.served(note.project_id, ports.gitlab, ports.policy)
    if project is None:
        log.info("command ignored", task_id=task_id, why="not in GITLAB_PROJECTS")
        return
    hollow = _hollow(kind, looked, project, ports)
    hollow = msgspec.structs.replace(hollow, task_id=task_id)
    if isinstance(looked, Denied):
        refusal = await budgets.too_low(hollow, looked.needed, ports.spending)
        await appending.refuse(hollow, refusal, event, ports)
    else:
        await _serve(heard, looked, project, hollow, event, ports)


async def _serve(
    heard: Command,
    asked: Asked,
    project: Project,
    hollow: TaskRequested,
    cause: Recorded,
    ports: Ports,
) -> None:
    if heard.name == "help":
        await _help(hollow, cause, ports)
        return
    found: TaskRequested | Refusal | None
    found = await budgets.over_budget(hollow, ports.spending, ports.clock.now())
    if found is None and heard.name == "ask":
        found = _question(asked, hollow, cause, ports)
    elif found is None:
        found = await _code(asked, project, hollow, cause, ports)
    if isinstance(found, Refusal):
        await appending.refuse(hollow, found, cause, ports)
        return
    await appending.begin(spec.with_instruction(found, heard.instruction), cause, ports)
    if found.kind == "coding":
        await advance(found.scope, found.ref, cause, ports)


async def _help(hollow: TaskRequested, cause: Recorded, ports: Ports) -> None:
    place = f"{hollow.scope}.{hollow.ref}"
    if not await ports.spending.take_help(hollow.task_id, place, ports.clock.now()):
        log.info("command ignored", task_id=hollow.task_id, why="help was given often enough")
        return
    wanted = await appending.request(hollow, cause, ports)
    if wanted.max_launches:
        return
    answer = Answered(task_id=wanted.task_id, head_sha=wanted.head_sha, answer="", help=True)
    await appending.end(wanted, answer, cause, ports)


def _question(asked: Asked, hollow: TaskRequested, cause: Recorded, ports: Ports) -> TaskRequested:
    """Any head will do, of a closed merge request too."""
    if pinning.refs_now(asked.mr) is None and _is_fresh(cause, ports):
        raise Temporary("GitLab has not made the diff yet", delay=heads.WAIT_SECONDS)
    return hollow


async def _code(
    asked: Asked, project: Project, hollow: TaskRequested, cause: Recorded, ports: Ports
) -> TaskRequested | Refusal:
    refusal = refusing.of_state(asked.mr, asked.note)
    if refusal:
        return refusal
    place = await looking.place(asked.mr, project, ports)
    refusal = refusing.of_place(place, asked.requester.access_level)
    if refusal or place.source is None or place.branch is None:
        return refusal or Refusal(code="no_branch")
    # The log after GitLab: a commit of ours that GitLab shows is then known to be on its way.
    records = await history.of_branches(hollow.scope, hollow.ref, ports.log)
    line = turns.lines(records).get((place.source.id, place.branch.name), [])
    asked_at = asked.note.created_at or cause.time
    refs = await heads.pin(asked.mr, place.branch.sha, asked_at, line, cause=cause, ports=ports)
    if isinstance(refs, Refusal):
        return refs
    return msgspec.structs.replace(hollow, diff_refs=refs, push=push_target(place))


def push_target(place: refusing.Place) -> PushTarget:
    """The merge request's source branch; call it only where nothing was refused."""
    assert place.source is not None  # noqa: S101  # see above
    assert place.branch is not None  # noqa: S101  # see above
    return PushTarget(
        project_id=place.source.id,
        clone_url=place.source.http_url_to_repo,
        branch=place.branch.name,
        never_to=never_to(place.source, place.protected),
    )


def never_to(project: Project, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Default and protected branches, for the publisher to look at again (SR-35)."""
    return tuple(dict.fromkeys(name for name in (project.default_branch, *patterns) if name))


def _hollow(kind: TaskKind, asked: Asked | Denied, project: Project, ports: Ports) -> TaskRequested:
    """The request without instruction and launches, as refusals and help have it."""
    terms = spec.Terms(limits=ports.policy.limits, now=ports.clock.now())
    refs = pinning.refs_now(asked.mr) or pinning.alone(asked.mr.sha)
    return spec.of_note(kind, asked, project, refs, terms)


def _is_fresh(cause: Recorded, ports: Ports) -> bool:
    return ports.clock.now() - cause.time < pinning.LONGEST_WAIT
