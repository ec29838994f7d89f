"""What the reviewer does with an event: load, decide, append. Wired in `wiring`."""

from __future__ import annotations

from datetime import timedelta

import structlog

from libs.common import appending, budgets, replaying, reviewing, serving, subjects
from libs.common.errors import Temporary
from libs.common.events.envelope import Recorded
from libs.common.events.facts import MrOpened, NoteCommand
from libs.common.events.tasks import Result, Superseded, TaskPublished
from libs.common.gitlab.errors import NotFound
from libs.common.gitlab.models import MergeRequest
from services.reviewer import spec
from services.reviewer.commanded import on_command
from services.reviewer.ports import Ports

log = structlog.get_logger()


async def on_event(event: Recorded, *, ports: Ports) -> None:
    """Consider the merge request again when the event can change the answer."""
    ports.wake(event.subject)
    if isinstance(event.event, Result) and _is_of_review(event):
        await budgets.count_use(event, event.event, ports)
    match event.event:
        case MrOpened(project_id=project_id, iid=iid, head_sha=seen):
            await consider(project_id, iid, seen, cause=event, ports=ports)
        case NoteCommand() as note:
            await on_command(note, cause=event, ports=ports)
        case Superseded() | TaskPublished(outcome="superseded") if _is_of_review(event):
            project_id, iid = map(int, subjects.scope_and_ref(event.subject))
            await consider(project_id, iid, None, cause=event, ports=ports)
        case _:
            pass


async def consider(
    project_id: int, iid: int, seen_sha: str | None, *, cause: Recorded, ports: Ports
) -> None:
    """Request a review of the merge request's head if it should have one and has none.

    Raises `Temporary` while GitLab is not ready, `Permanent` when the clone url is not GitLab's.
    """
    try:
        mr = await ports.gitlab.merge_request(project_id, iid)
    except NotFound:
        log.info("no review", project_id=project_id, iid=iid, why="it is gone from GitLab")
        return
    decision = await _decision(mr, seen_sha, cause, ports)
    if isinstance(decision, reviewing.Wait):
        raise Temporary(decision.why, delay=decision.seconds)
    if isinstance(decision, reviewing.Nothing):
        log.info("no review", project_id=project_id, iid=iid, why=decision.why)
        return
    await _request(decision.task_id, mr, cause, ports)


async def _decision(
    mr: MergeRequest, seen_sha: str | None, cause: Recorded, ports: Ports
) -> reviewing.Decision:
    head = reviewing.head_of(mr)
    age = ports.clock.now() - cause.time
    known: set[str] = set()
    if seen_sha is not None and seen_sha != head.sha and head.is_open:
        versions = await ports.gitlab.versions(mr.project_id, mr.iid)
        known = {version.head_commit_sha for version in versions}
    early = reviewing.settle(seen_sha, head, known, max(age, timedelta()))
    if early is not None:
        return early
    history = await ports.log.history(subjects.history(mr.project_id, mr.iid))
    reviewed = await ports.reviewed.of(mr.project_id, mr.iid)
    return reviewing.decide(
        head,
        history,
        reviewed=reviewed,
        review_drafts=ports.policy.review_drafts,
        replay=replaying.replay_id(cause),
    )


async def _request(task_id: str, mr: MergeRequest, cause: Recorded, ports: Ports) -> None:
    project = await serving.served(mr.project_id, ports.gitlab, ports.policy)
    if project is None:
        log.info("no review", project_id=mr.project_id, iid=mr.iid, why="not in GITLAB_PROJECTS")
        return
    commits = await ports.gitlab.commits(mr.project_id, mr.iid)
    wanted = spec.task_requested(
        task_id, mr, project, commits, limits=ports.policy.limits, now=ports.clock.now()
    )
    await appending.begin(wanted, cause, ports)


def _is_of_review(event: Recorded) -> bool:
    return subjects.last_token(event.subject).startswith("review-")
