"""Publishes a review: look again, lease, what is there, drafts, publish, check, summary, record.

Called by `handlers` for `ReviewDone`. Every step is harmless the second time, so a crash between
any two is healed by delivering the same event again.
"""

from __future__ import annotations

import msgspec
import structlog

from libs.common import telemetry
from libs.common.events.envelope import Recorded
from libs.common.events.tasks import DiffRefs, ReviewDone, TaskPublished, TaskRequested, Write
from libs.common.gitlab.errors import NotFound
from libs.common.gitlab.models import MergeRequest
from services.publisher import plan
from services.publisher.fingerprints import Named, named
from services.publisher.placing import (
    Place,
    publish_as_drafts,
    publish_one_by_one,
    remove_drafts,
)
from services.publisher.ports import Ports
from services.publisher.records import outcome, published_already, record_published
from services.publisher.render import Placed, notice_settled, summary_body
from services.publisher.replies import superseded
from services.publisher.threads import CHECK, settle, tell

log = structlog.get_logger()


async def publish_review(result: Recorded, request: TaskRequested, *, ports: Ports) -> None:
    """Bring the review to the merge request, or record that nobody needs it any more."""
    assert isinstance(result.event, ReviewDone)  # noqa: S101  # narrowed by the caller
    if await published_already(request, ports):
        return
    async with ports.alone(request) as alone:
        mr = await look_again(request, alone)
        why = plan.outdated(request, mr)
        found = await look(request, alone) if mr is not None else plan.Ours()
        if why is not None and not found.of_task(request.task_id):
            if mr is not None:
                await remove_drafts(request, alone)
            left = outcome(request, "superseded", why)
            if request.asked_in is not None:
                told = await tell(superseded(why), request, alone)
                left = msgspec.structs.replace(left, writes=tuple(told))
            await record_published(left, result, request, alone)
            return
        # Once a part is posted the rest follows: half a review would puzzle its readers.
        review = await _finish(result.event, request, mr, found, alone)
        await alone.reviewed.add(
            request.project_id, request.iid, request.head_sha, request.target_branch
        )
        if request.asked_in is not None:
            emoji = await settle(CHECK, request, alone)
            review = msgspec.structs.replace(review, writes=(*review.writes, *emoji))
        await record_published(review, result, request, alone)


async def look_again(request: TaskRequested, ports: Ports) -> MergeRequest | None:
    """The merge request as it is now, or None when it is gone."""
    try:
        return await ports.gitlab.merge_request(request.project_id, request.iid)
    except NotFound:
        return None


async def look(request: TaskRequested, ports: Ports) -> plan.Ours:
    """What we left on the merge request so far."""
    me = await ports.gitlab.current_user()
    return plan.ours(await ports.gitlab.discussions(request.project_id, request.iid), me.id)


async def _finish(
    review: ReviewDone,
    request: TaskRequested,
    mr: MergeRequest | None,
    found: plan.Ours,
    ports: Ports,
) -> TaskPublished:
    refs = mr.diff_refs if mr is not None and mr.diff_refs is not None else request.diff_refs
    same = _same_head(refs, request)
    found, unplaced, still_open = await _place(review, found, same, request, ports)
    mine = [t.discussion_id for t in found.threads if t.task_id == request.task_id]
    body = summary_body(
        review,
        request,
        Placed(
            threads=len(mine),
            unplaced=tuple(item.finding for item in unplaced),
            still_open=tuple(item.finding for item in still_open),
        ),
        policy=ports.policy,
    )
    note_id = await put_note(found.summary, body, request, ports)
    if found.notice is not None:
        await put_note(found.notice, notice_settled(request), request, ports)
    telemetry.note({"gitlab.note.id": note_id, "gitlab.discussion.ids": mine})
    log.info("review posted", task_id=request.task_id, comments=len(mine), web_url=request.web_url)
    return TaskPublished(
        task_id=request.task_id,
        outcome="posted",
        head_sha=request.head_sha,
        target_branch=request.target_branch,
        summary_note_id=note_id,
        discussion_ids=tuple(mine),
        web_url=f"{request.web_url}#note_{note_id}",
        writes=(
            Write(what="note", id=str(note_id), web_url=f"{request.web_url}#note_{note_id}"),
            *(Write(what="discussion", id=discussion_id) for discussion_id in mine),
        ),
    )


def _same_head(refs: DiffRefs, request: TaskRequested) -> DiffRefs:
    """GitLab's latest shas of the reviewed head; of the task when the head has moved since."""
    return refs if refs.head_sha == request.head_sha else request.diff_refs


async def _place(
    review: ReviewDone, found: plan.Ours, refs: DiffRefs, request: TaskRequested, ports: Ports
) -> tuple[plan.Ours, list[Named], list[Named]]:
    """Post what is missing and look what arrived; also the findings without a place."""
    wanted = named(review.findings)
    work = plan.todo(wanted, found, request.task_id)
    missing = list(work.missing)
    place = Place(request=request, diff_refs=refs, ports=ports)
    if missing and await publish_as_drafts(missing, place):
        # Dropped drafts and time-outs show here, and only here.
        found = await look(request, ports)
        missing = list(plan.todo(missing, found, request.task_id).missing)
    if missing:
        unplaced = await publish_one_by_one(missing, place)
        if len(unplaced) < len(missing):
            found = await look(request, ports)
        missing = unplaced
    return found, missing, list(work.still_open)


async def put_note(
    standing: plan.Standing | None, body: str, request: TaskRequested, ports: Ports
) -> int:
    """Our one note of a kind: created, or brought up to date when its text differs."""
    project_id, iid = request.project_id, request.iid
    if standing is None:
        return (await ports.gitlab.create_note(project_id, iid, body)).id
    if standing.body != body:
        await ports.gitlab.update_note(project_id, iid, standing.note_id, body)
    return standing.note_id
