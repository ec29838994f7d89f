"""`/copilot review`: a person asks for a review of the head as it is now. Called by `handlers`.

Drafts, and heads that were reviewed before, are reviewed as well: somebody wants it. Whoever may
not ask gets a task too, which ends at once as refused, so that the publisher can answer.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec
import structlog

from libs.common import appending, budgets, replaying, reviewing, serving, subjects
from libs.common.appending import ASK_AGAIN, Refusal
from libs.common.asking import Asked, Denied, Ignored, look_up
from libs.common.commands import command
from libs.common.errors import Temporary
from libs.common.events.envelope import Recorded
from libs.common.events.facts import NoteCommand
from libs.common.events.tasks import TaskRequested
from libs.common.gitlab.models import MergeRequest
from services.reviewer import spec
from services.reviewer.ports import Ports

log = structlog.get_logger()
NOT_SERVED = "not in GITLAB_PROJECTS"


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
    elif reviewing.is_refused(wanted) and not reviewing.has_ended(history, wanted.task_id):
        # A crash came between the request and its end.
        refusal = await _refusal(wanted, found, ports) or ASK_AGAIN
        await appending.refuse(wanted, refusal, cause, ports)


def _is_new_replay(cause: Recorded, wanted: TaskRequested) -> bool:
    """Whether an operator repeats the command, and not for this very task."""
    replay = replaying.replay_id(cause)
    return bool(replay) and not wanted.task_id.endswith(replaying.again("", replay))


async def _request(
    found: Asked | Denied, cause: Recorded, ports: Ports, *, replay: str = ""
) -> None:
    mr = found.mr
    if isinstance(found, Asked) and spec.refusal(found) is None:
        _wait_for_diff(mr, cause, ports)
    project = await serving.served(mr.project_id, ports.gitlab, ports.policy)
    if project is None:
        log.info("command ignored", project_id=mr.project_id, iid=mr.iid, why=NOT_SERVED)
        return
    policy = ports.policy
    hollow = spec.commanded(found, project, limits=policy.limits, now=ports.clock.now())
    hollow = msgspec.structs.replace(hollow, task_id=replaying.again(hollow.task_id, replay))
    refusal = await _refusal(hollow, found, ports)
    if refusal is not None:
        await appending.refuse(hollow, refusal, cause, ports)
        return
    commits = await ports.gitlab.commits(mr.project_id, mr.iid)
    await appending.begin(spec.to_run(hollow, mr, commits), cause, ports)


async def _refusal(wanted: TaskRequested, found: Asked | Denied, ports: Ports) -> Refusal | None:
    """Why this person gets no review now; None takes it from the budgets."""
    if isinstance(found, Denied):
        return await budgets.too_low(wanted, found.needed, ports.spending)
    over = await budgets.over_budget(wanted, ports.spending, ports.clock.now())
    return over or spec.refusal(found)


def _wait_for_diff(mr: MergeRequest, cause: Recorded, ports: Ports) -> None:
    age = max(ports.clock.now() - cause.time, timedelta())
    early = reviewing.settle(None, reviewing.head_of(mr), (), age)
    if isinstance(early, reviewing.Wait):
        raise Temporary(early.why, delay=early.seconds)
