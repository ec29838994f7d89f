"""Draft notes: list, create, change, delete, publish one, publish all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from tests.simulators.gitlab import comments, drafts, note_views
from tests.simulators.gitlab.api import Call, endpoint, no_content, reply
from tests.simulators.gitlab.errors import bad_request, forbidden, message, not_found
from tests.simulators.gitlab.pagination import page_of

from .merge_requests import ONE

if TYPE_CHECKING:
    from tests.simulators.gitlab.state import DraftNote, MergeRequest

DRAFTS = ONE + "/draft_notes"


def routes() -> list[web.RouteDef]:
    return [
        web.get(DRAFTS, endpoint(list_drafts)),
        web.post(DRAFTS, endpoint(create)),
        web.post(DRAFTS + "/bulk_publish", endpoint(bulk_publish)),
        web.get(DRAFTS + "/{draft_id}", endpoint(show)),
        web.put(DRAFTS + "/{draft_id}", endpoint(edit)),
        web.delete(DRAFTS + "/{draft_id}", endpoint(delete)),
        web.put(DRAFTS + "/{draft_id}/publish", endpoint(publish)),
    ]


def _merge_request(call: Call) -> MergeRequest:
    merge_request = call.merge_request()
    status = call.world.settings.drafts_status
    if status is not None:
        raise message(status, "404 Not Found" if status == 404 else "403 Forbidden")
    return merge_request


def _own(call: Call, merge_request: MergeRequest) -> list[DraftNote]:
    return [draft for draft in merge_request.drafts if draft.author is call.user]


def _one(call: Call, merge_request: MergeRequest) -> DraftNote:
    wanted = call.path_number("draft_id")
    found = next((d for d in _own(call, merge_request) if d.id == wanted), None)
    if found is None:
        raise not_found()
    return found


async def list_drafts(call: Call) -> web.Response:
    merge_request = _merge_request(call)
    mine = _own(call, merge_request)
    return page_of(call, mine, lambda page: [note_views.draft(merge_request, d) for d in page])


async def show(call: Call) -> web.Response:
    merge_request = _merge_request(call)
    return reply(note_views.draft(merge_request, _one(call, merge_request)))


async def create(call: Call) -> web.Response:
    merge_request = _merge_request(call)
    if not call.may_comment(merge_request):
        raise forbidden()
    raw = call.params.get("position")
    text = call.required("note")
    position = None if raw is None else comments.read_position(raw)
    drafts.check_line_range(raw)
    draft = drafts.create(
        call.world,
        merge_request,
        call.user,
        text,
        position=position,
        reply_to=call.text("in_reply_to_discussion_id") or None,
        resolve=call.flag("resolve_discussion"),
    )
    return reply(note_views.draft(merge_request, draft), 201)


async def edit(call: Call) -> web.Response:
    merge_request = _merge_request(call)
    draft = _one(call, merge_request)
    if "note" not in call.params:
        raise bad_request("Missing params to modify")
    draft.note = call.required("note")
    return reply(note_views.draft(merge_request, draft))


async def delete(call: Call) -> web.Response:
    merge_request = _merge_request(call)
    merge_request.drafts.remove(_one(call, merge_request))
    return no_content()


async def publish(call: Call) -> web.Response:
    merge_request = _merge_request(call)
    return _publish(call, merge_request, [_one(call, merge_request)])


async def bulk_publish(call: Call) -> web.Response:
    merge_request = _merge_request(call)
    return _publish(call, merge_request, _own(call, merge_request))


def _publish(call: Call, merge_request: MergeRequest, mine: list[DraftNote]) -> web.Response:
    if not call.may_comment(merge_request):
        raise message(500, "500 Internal Server Error")
    drafts.publish(call.world, merge_request, call.user, mine)
    return no_content()
