"""Which commit a command is for, with GitLab asked about the branch's head.

Called by `commanding` for a new command and by `advancing` when a task is asked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from libs.common.appending import Refusal
from libs.common.errors import Temporary
from libs.common.events.envelope import Recorded
from libs.common.events.tasks import DiffRefs, TaskRequested
from libs.common.gitlab.models import MergeRequest, Version
from services.coder import pinning, turns
from services.coder.ports import Ports

WAIT_SECONDS = 3.0
MOVED = "the branch has commits that are younger than the command and not ours"


async def pin(
    mr: MergeRequest,
    head: str,
    asked_at: datetime,
    line: Sequence[turns.Turn],
    *,
    cause: Recorded,
    ports: Ports,
) -> DiffRefs | Refusal:
    """The refs of the head at `asked_at`, or of a newer one when only our tasks moved it.

    `head` is the branch's tip. Raises `Temporary` while GitLab has not caught up.
    """
    versions = await _versions(mr, head, line, cause, ports)
    found = pinning.pinned(versions, asked_at)
    if found is None:
        return pinning.alone(head)
    if found.head_commit_sha == head or await _is_ours(mr, found, line, ports):
        return pinning.refs_at(head, versions)
    if any(turn.is_proposed for turn in line):
        # Perhaps its commit; when it is published, this task is asked again or refused.
        return pinning.refs_of(found)
    return Refusal(code="moved", detail=MOVED)


async def pin_again(
    request: TaskRequested,
    mr: MergeRequest,
    head: str,
    line: Sequence[turns.Turn],
    *,
    cause: Recorded,
    ports: Ports,
) -> DiffRefs | Refusal:
    """The refs of the head now, if only our tasks moved it since the request."""
    versions = await _versions(mr, head, line, cause, ports)
    refs = request.diff_refs
    before = Version(
        id=0,
        head_commit_sha=refs.head_sha,
        base_commit_sha=refs.base_sha,
        start_commit_sha=refs.start_sha,
    )
    if head == refs.head_sha or await _is_ours(mr, before, line, ports):
        return pinning.refs_at(head, versions)
    return Refusal(code="moved", detail=MOVED)


async def _versions(
    mr: MergeRequest, head: str, line: Sequence[turns.Turn], cause: Recorded, ports: Ports
) -> list[Version]:
    versions = await ports.gitlab.versions(mr.project_id, mr.iid)
    newest = turns.newest_commit(line)
    lag = pinning.lag(head, versions, newest.commit_sha if newest else "")
    if lag and ports.clock.now() - cause.time < pinning.LONGEST_WAIT:
        raise Temporary(lag, delay=WAIT_SECONDS)
    return versions


async def _is_ours(
    mr: MergeRequest, before: Version, line: Sequence[turns.Turn], ports: Ports
) -> bool:
    ours = turns.own_commits(line)
    if not ours:
        return False
    commits = await ports.gitlab.commits(mr.project_id, mr.iid)
    return pinning.only_ours(before, commits, ours)
