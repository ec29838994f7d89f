"""What the reviewer does with an event: load, decide, append. Wired in `wiring`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import structlog

from libs.common import reviewing, subjects, telemetry
from libs.common.allowed import Allowed
from libs.common.clock import Clock
from libs.common.errors import Permanent, Temporary
from libs.common.events.envelope import NewEvent, Recorded
from libs.common.events.facts import MrOpened
from libs.common.events.log import EventLog
from libs.common.events.tasks import Limits, Superseded, TaskPublished
from libs.common.gitlab.clone_url import clone_url_allowed
from libs.common.gitlab.errors import NotFound
from libs.common.gitlab.models import Commit, MergeRequest, Project, Version
from libs.common.reviewed import Reviewed
from services.reviewer import spec

log = structlog.get_logger()
SOURCE = "reviewer"


class MergeRequests(Protocol):
    """What the reviewer asks GitLab."""

    async def merge_request(self, project_id: int, iid: int) -> MergeRequest: ...

    async def versions(self, project_id: int, iid: int) -> list[Version]: ...

    async def commits(self, project_id: int, iid: int) -> list[Commit]: ...

    async def project(self, project_id: int) -> Project: ...


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The operator's settings that a decision needs."""

    gitlab_url: str
    limits: Limits
    projects: Allowed
    review_drafts: bool = False
    allow_http: bool = False


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Everything a handler may touch."""

    log: EventLog
    gitlab: MergeRequests
    reviewed: Reviewed
    clock: Clock
    policy: Policy
    wake: Callable[[str], None]
    """Tells the reconciler that something about this subject changed."""


async def on_event(event: Recorded, *, ports: Ports) -> None:
    """Consider the merge request again when the event can change the answer."""
    ports.wake(event.subject)
    match event.event:
        case MrOpened(project_id=project_id, iid=iid, head_sha=seen):
            await consider(project_id, iid, seen, cause=event, ports=ports)
        case Superseded() | TaskPublished(outcome="superseded"):
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
        head, history, reviewed=reviewed, review_drafts=ports.policy.review_drafts
    )


async def _request(task_id: str, mr: MergeRequest, cause: Recorded, ports: Ports) -> None:
    project = await ports.gitlab.project(mr.project_id)
    policy = ports.policy
    if not policy.projects.serves(project.id, project.path_with_namespace):
        log.info("no review", project_id=mr.project_id, iid=mr.iid, why="not in GITLAB_PROJECTS")
        return
    if not clone_url_allowed(
        project.http_url_to_repo,
        policy.gitlab_url,
        external_url=project.web_url,
        allow_http=policy.allow_http,
    ):
        raise Permanent(
            "the project's clone url is on another host than GITLAB_URL; no token goes there"
        )
    commits = await ports.gitlab.commits(mr.project_id, mr.iid)
    request = spec.task_requested(
        task_id, mr, project, commits, limits=policy.limits, now=ports.clock.now()
    )
    with telemetry.span("request review", attributes={"gca.task_id": task_id}) as span:
        created = await ports.log.create(
            NewEvent(
                subject=subjects.task_requested(mr.project_id, mr.iid, task_id),
                event=request,
                message_id=f"{task_id}-requested",
                source=SOURCE,
                time=ports.clock.now(),
                causation_id=cause.message_id,
                traceparent=span.traceparent,
            )
        )
    ports.wake(created.record.subject)
    log.info(
        "review requested" if created.first else "review was requested already",
        project_id=mr.project_id,
        iid=mr.iid,
        task_id=task_id,
        head_sha=mr.sha,
    )
