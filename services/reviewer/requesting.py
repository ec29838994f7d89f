"""Appends requests for reviews. Called by `handlers` and `commanded`, once they have decided."""

from __future__ import annotations

import structlog

from libs.common import subjects, telemetry
from libs.common.errors import Permanent
from libs.common.events.envelope import NewEvent, Recorded
from libs.common.events.tasks import Refused, TaskRequested
from libs.common.gitlab.clone_url import clone_url_allowed
from libs.common.gitlab.models import MergeRequest, Project
from libs.common.launching.ended import count_end
from services.reviewer.ports import SOURCE, Ports

log = structlog.get_logger()


async def served_project(mr: MergeRequest, ports: Ports) -> Project | None:
    """The merge request's project, None when it is not served.

    Raises `Permanent` when its clone url is not GitLab's (SR-04).
    """
    project = await ports.gitlab.project(mr.project_id)
    policy = ports.policy
    if not policy.projects.serves(project.id, project.path_with_namespace):
        log.info("no review", project_id=mr.project_id, iid=mr.iid, why="not in GITLAB_PROJECTS")
        return None
    if not clone_url_allowed(
        project.http_url_to_repo,
        policy.gitlab_url,
        external_url=project.web_url,
        allow_http=policy.allow_http,
    ):
        raise Permanent(
            "the project's clone url is on another host than GITLAB_URL; no token goes there"
        )
    return project


async def request(
    wanted: TaskRequested, cause: Recorded, ports: Ports, *, refused: Refused | None = None
) -> None:
    """Append the request and, when it is refused, its end before anybody is woken."""
    with telemetry.span("request review", attributes={"gca.task_id": wanted.task_id}) as span:
        created = await ports.log.create(
            NewEvent(
                subject=subjects.task_requested(wanted.scope, wanted.ref, wanted.task_id),
                event=wanted,
                message_id=f"{wanted.task_id}-requested",
                source=SOURCE,
                time=ports.clock.now(),
                causation_id=cause.message_id,
                traceparent=span.traceparent,
            )
        )
        if refused is not None:
            await refuse(wanted, refused, cause, ports)
    ports.wake(created.record.subject)
    log.info(
        "review requested" if created.first else "review was requested already",
        project_id=wanted.project_id,
        iid=wanted.iid,
        task_id=wanted.task_id,
        head_sha=wanted.head_sha,
        **({"refused": refused.code} if refused else {}),
    )


async def refuse(wanted: TaskRequested, refused: Refused, cause: Recorded, ports: Ports) -> None:
    """Append the end of a command that starts nothing; one that has an end keeps it."""
    created = await ports.log.create(
        NewEvent(
            subject=subjects.task_result(wanted.scope, wanted.ref, wanted.task_id),
            event=refused,
            message_id=f"{wanted.task_id}-result",
            source=SOURCE,
            time=ports.clock.now(),
            causation_id=cause.message_id,
            traceparent=telemetry.current(),
        )
    )
    if created.first:
        count_end(wanted.kind, refused)
