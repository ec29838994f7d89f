"""Puts findings on their lines: drafts and one bulk publish, or discussions one by one.

Called by `reviews` under the merge request's lease. A finding that GitLab does not place falls
back from several lines to one line, to the file, to the summary: never lost.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import structlog

from libs.common.events.tasks import DiffRefs, TaskRequested
from libs.common.gitlab.errors import Forbidden, Invalid, NotFound
from libs.common.gitlab.positions import file_position_json, position_json
from services.publisher.fingerprints import Named
from services.publisher.ports import Ports, PositionJson
from services.publisher.render import finding_body

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where this review's notes go, and how they are written."""

    request: TaskRequested
    diff_refs: DiffRefs
    ports: Ports

    @property
    def key(self) -> tuple[int, int]:
        return self.request.project_id, self.request.iid

    def body(self, item: Named, position: PositionJson) -> str:
        finding = item.finding
        if position["position_type"] == "file":
            # GitLab shows such a note on the file's name, so the text must say the line.
            where = f"(line {finding.line}{' of the old file' if finding.side == 'old' else ''})"
            finding = msgspec.structs.replace(
                finding, comment=f"{where} {finding.comment}", position=None
            )
        return finding_body(
            finding,
            policy=self.ports.policy,
            task_id=self.request.task_id,
            fingerprint=item.fingerprint,
        )


def positions(item: Named, refs: DiffRefs) -> list[PositionJson]:
    """The positions to try, most exact first; none for a finding about no file of the diff."""
    position = item.finding.position
    if position is None:
        return []
    tries = [position_json(position, refs)]
    if position.start is not None:
        single = msgspec.structs.replace(position, start=None)
        tries.append(position_json(single, refs))
    tries.append(file_position_json(position, refs))
    return tries


async def remove_drafts(request: TaskRequested, ports: Ports) -> bool:
    """Remove the drafts that an interrupted try left; False where drafts are unavailable."""
    key = request.project_id, request.iid
    try:
        drafts = await ports.gitlab.draft_notes(*key)
    except (Forbidden, NotFound) as error:
        log.warning("draft notes are unavailable", why=str(error))
        return False
    for draft in drafts:
        with contextlib.suppress(NotFound):
            await ports.gitlab.delete_draft_note(*key, draft.id)
    return True


async def publish_as_drafts(items: Sequence[Named], place: Place) -> bool:
    """Write all findings as drafts and publish them at once; False where drafts are unavailable.

    Drafts of an earlier, interrupted try are removed first. What GitLab silently drops shows when
    the caller lists the discussions again.
    """
    if not await remove_drafts(place.request, place.ports):
        return False
    try:
        created = [await _draft(item, place) for item in items]
        if any(created):
            await place.ports.gitlab.publish_drafts(*place.key)
    except (Forbidden, NotFound) as error:
        log.warning("drafts were refused; posting one by one", why=str(error))
        await remove_drafts(place.request, place.ports)
        return False
    return True


async def _draft(item: Named, place: Place) -> bool:
    """Create the draft at the first position GitLab can place; False when there is none."""
    gitlab = place.ports.gitlab
    for position in positions(item, place.diff_refs):
        try:
            draft = await gitlab.create_draft_note(*place.key, place.body(item, position), position)
        except Invalid as error:
            log.info("draft refused", fingerprint=item.fingerprint, why=str(error))
            continue
        # A text position whose line_code is null fell outside the diff: GitLab would drop the
        # note at publish without a word.
        if draft.line_code is not None or position["position_type"] == "file":
            return True
        await gitlab.delete_draft_note(*place.key, draft.id)
    return False


async def publish_one_by_one(items: Sequence[Named], place: Place) -> list[Named]:
    """Post each finding as a discussion of its own; returns those that have no place."""
    return [item for item in items if not await _discussion(item, place)]


async def _discussion(item: Named, place: Place) -> bool:
    for position in positions(item, place.diff_refs):
        try:
            await place.ports.gitlab.create_discussion(
                *place.key, place.body(item, position), position
            )
        except Invalid as error:
            log.info("position refused", fingerprint=item.fingerprint, why=str(error))
        else:
            return True
    return False
