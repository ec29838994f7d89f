"""`/copilot review`: a person asks for a review of the head as it is now. Called by `handlers`.

Drafts, and heads that were reviewed before, are reviewed as well: somebody wants it. Whoever may
not ask gets a task too, which ends at once as refused, so that the publisher can answer.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec
import structlog

from libs.common import replaying, reviewing, subjects
from libs.common.asking import Asked, Denied, Ignored, look_up
from libs.common.commands import command
from libs.common.errors import Temporary
from libs.common.events.envelope import Recorded
from libs.common.events.facts import NoteCommand
from libs.common.events.tasks import TaskRequested
from libs.common.gitlab.models import MergeRequest
from services.reviewer import spec
from services.reviewer.ports import Ports
from services.reviewer.requesting import refuse, request, served_project

log = structlog.get_logger()


async def on_command(note: NoteCommand, *, cause: Recorded, ports: Ports) -> None:
    """Request a review when the note asks for one; other commands are the coder's.

    Raises `Temporary` while GitLab has not made the diff, `Permanent` when there is none.
    """
    agent = await ports.agent()
    said = command(note.text, agent.username)
    if said is None or said.name != "review":
        return
    now = ports.clock.now()
    found = await look_up(
        note, gitlab=ports.gitlab, agent=agent, levels=ports.policy.levels, now=now
    )
    if isinstance(found, Ignored):
        log.info(
            "command ignored",
            project_id=note.project_id,
            iid=note.iid,
            note_id=note.note_id,
            why=found.why,
        )
        return
    history = await ports.log.history(subjects.history(note.project_id, note.iid))
    wanted = reviewing.asked_for(history, note.note_id)
    if wanted is None:
        await _request(found, cause, ports)
    elif _is_new_replay(cause, wanted) and reviewing.has_ended(history, wanted.task_id):
        await _request(found, cause, ports, replay=replaying.replay_id(cause))
    elif reviewing.is_refused(wanted):
        await _refuse_again(wanted, found, cause, ports)


def _is_new_replay(cause: Recorded, wanted: TaskRequested) -> bool:
    """Whether an operator repeats the command, and not for this very task."""
    replay = replaying.replay_id(cause)
    return bool(replay) and not wanted.task_id.endswith(replaying.again("", replay))


async def _request(
    found: Asked | Denied, cause: Recorded, ports: Ports, *, replay: str = ""
) -> None:
    mr, runs = found.mr, spec.refusal(found) is None
    if runs:
        _wait_for_diff(mr, cause, ports)
    project = await served_project(mr, ports)
    if project is None:
        return
    commits = await ports.gitlab.commits(mr.project_id, mr.iid) if runs else []
    wanted = spec.commanded(
        found, project, commits, limits=ports.policy.limits, now=ports.clock.now()
    )
    task_id = replaying.again(wanted.task_id, replay)
    wanted = msgspec.structs.replace(wanted, task_id=task_id)
    await request(wanted, cause, ports, refused=spec.refused(wanted, found))


def _wait_for_diff(mr: MergeRequest, cause: Recorded, ports: Ports) -> None:
    age = max(ports.clock.now() - cause.time, timedelta())
    early = reviewing.settle(None, reviewing.head_of(mr), (), age)
    if isinstance(early, reviewing.Wait):
        raise Temporary(early.why, delay=early.seconds)


async def _refuse_again(
    wanted: TaskRequested, found: Asked | Denied, cause: Recorded, ports: Ports
) -> None:
    """A crash may have come between the request and its end."""
    end = spec.refused(wanted, found)
    if end is not None:
        await refuse(wanted, end, cause, ports)
