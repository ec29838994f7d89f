"""Gives the next task of a branch its turn: asks it again when our own commit made its pin stale.

Called when a coding task is asked for, ends or is published. Another pin is another task
(docs/decisions/0020): first the new request, then the old one's end, so that a crash in between
is healed by the same event coming again.
"""

from __future__ import annotations

from operator import attrgetter

import msgspec

from libs.common import appending, requesting, serving
from libs.common.appending import Refusal
from libs.common.events.envelope import Recorded
from libs.common.events.tasks import DiffRefs, Superseded, TaskRequested
from libs.common.gitlab.errors import NotFound
from services.coder import heads, history, looking, refusing, turns
from services.coder.ports import Ports


async def advance(scope: str, ref: str, cause: Recorded, ports: Ports) -> None:
    """Look at every branch that tasks of this merge request or issue push to.

    Raises `Temporary` while GitLab does not show what we pushed.
    """
    records = await history.of_branches(scope, ref, ports.log)
    for line in turns.lines(records).values():
        for orphan in filter(attrgetter("is_orphan"), line):
            await _end_quietly(orphan.request, cause, ports)
        turn = turns.next_turn(line)
        if turn is not None and turns.is_stale(turn, line):
            await _ask_again(turn, line, cause, ports)


async def _ask_again(
    turn: turns.Turn, line: list[turns.Turn], cause: Recorded, ports: Ports
) -> None:
    old = turn.request
    task_id = turns.following(old.task_id)
    found = next((other.request for other in line if other.request.task_id == task_id), None)
    if found is None:
        refs = await _refs(turn, line, cause, ports)
        if isinstance(refs, Refusal):
            await appending.end(old, appending.refused(old, refs), cause, ports)
            return
        wanted = msgspec.structs.replace(
            old,
            task_id=task_id,
            diff_refs=refs,
            expires_at=requesting.expires_at(old.limits, ports.clock.now()),
        )
        found = await appending.request(wanted, cause, ports)
    end = Superseded(
        task_id=old.task_id,
        head_sha=old.head_sha,
        by=f"head {found.head_sha[:12]}",
        next_task_id=task_id,
    )
    if not await appending.end(old, end, cause, ports):
        await _end_quietly(found, cause, ports)


async def _end_quietly(wanted: TaskRequested, cause: Recorded, ports: Ports) -> None:
    """The same command had its end, and its word, before it was asked again."""
    refusal = Refusal(code="moved", detail="it has its end", quiet=True)
    await appending.end(wanted, appending.refused(wanted, refusal), cause, ports)


async def _refs(
    turn: turns.Turn, line: list[turns.Turn], cause: Recorded, ports: Ports
) -> DiffRefs | Refusal:
    old = turn.request
    try:
        mr = await ports.gitlab.merge_request(old.project_id, old.iid)
        project = serving.checked(await ports.gitlab.project(old.project_id), ports.policy)
    except NotFound:
        return Refusal(code="closed", detail="it is gone")
    refusal = refusing.of_state(mr, None)
    if refusal:
        return refusal
    place = await looking.place(mr, project, ports)
    level = old.requester.access_level if old.requester else 0
    refusal = refusing.of_place(place, level)
    if refusal or place.branch is None:
        return refusal or Refusal(code="no_branch")
    return await heads.pin_again(old, mr, place.branch.sha, line, cause=cause, ports=ports)
