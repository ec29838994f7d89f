"""The publisher's own events: what became of a task, created once. Called by every publication."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import msgspec
import structlog

from libs.common import metrics, subjects, telemetry
from libs.common.errors import AgentError
from libs.common.events.envelope import NewEvent, Recorded
from libs.common.events.tasks import Outcome, TaskPublished, TaskRequested, Write
from services.publisher.orders import asked_by
from services.publisher.ports import Ports

log = structlog.get_logger()


async def published_already(request: TaskRequested, ports: Ports) -> bool:
    return await ports.log.last(_subject(request)) is not None


def outcome(request: TaskRequested, word: Outcome, why: str) -> TaskPublished:
    """A record for a task of which nothing, or only a notice, is seen in GitLab."""
    return TaskPublished(
        task_id=request.task_id,
        outcome=word,
        head_sha=request.head_sha,
        target_branch=request.target_branch,
        detail=why,
    )


async def record_published(
    event: TaskPublished, result: Recorded, request: TaskRequested, ports: Ports
) -> None:
    """Append the record; one that is there already is success."""
    event = msgspec.structs.replace(event, requester=request.requester)
    audit(event.writes, request)
    created = await ports.log.create(
        NewEvent(
            subject=_subject(request),
            event=event,
            message_id=f"{request.task_id}-published",
            source="publisher",
            time=ports.clock.now(),
            causation_id=result.message_id,
            traceparent=telemetry.current(),
        )
    )
    if created.first:
        await _count(event, request, ports)
    log.info(
        "task published",
        task_id=request.task_id,
        outcome=event.outcome,
        project_id=request.project_id,
        iid=request.iid,
        why=event.detail,
        web_url=event.web_url,
        comments=len(event.discussion_ids),
    )


def audit(writes: Iterable[Write], request: TaskRequested) -> None:
    """One line for each thing written outside: who asked, which rule let them (SR-44)."""
    for write in writes:
        log.info(
            "audit",
            what=write.what,
            id=write.id,
            web_url=write.web_url,
            task_id=request.task_id,
            asked_by=asked_by(request.requester),
            rule=request.requester.rule if request.requester else "review of a new head",
        )


def _subject(request: TaskRequested) -> str:
    return subjects.task_published(request.scope, request.ref, request.task_id)


async def _count(event: TaskPublished, request: TaskRequested, ports: Ports) -> None:
    if request.asked_in is not None or request.issue is not None:
        metrics.count("commands_published", kind=request.kind, outcome=event.outcome)
    if request.kind == "review":
        metrics.count("reviews", outcome=event.outcome)
        await _observe(event, request, ports)


async def _observe(event: TaskPublished, request: TaskRequested, ports: Ports) -> None:
    """How long it took since the reviewed head was seen."""
    subject = subjects.mr_opened(request.project_id, request.iid, request.head_sha)
    # The review is there already; whether it can be measured must not matter to it.
    with contextlib.suppress(AgentError):
        seen = await ports.log.last(subject)
        if seen is not None:
            seconds = (ports.clock.now() - seen.time).total_seconds()
            metrics.observe("review_duration", max(seconds, 0.0), outcome=event.outcome)
