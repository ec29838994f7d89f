"""Notes, discussions and emoji of a merge request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from tests.simulators.gitlab import comments, events, note_views, quick_actions
from tests.simulators.gitlab.api import Call, endpoint, no_content, reply
from tests.simulators.gitlab.drafts import may_resolve
from tests.simulators.gitlab.errors import bad_request, forbidden, invalid, message, not_found
from tests.simulators.gitlab.pagination import page_of
from tests.simulators.gitlab.state import MAINTAINER, Award

from .merge_requests import ONE

if TYPE_CHECKING:
    from tests.simulators.gitlab.state import Discussion, MergeRequest, Note

NOTES = ONE + "/notes"
DISCUSSIONS = ONE + "/discussions"


def routes() -> list[web.RouteDef]:
    return [
        web.get(NOTES, endpoint(list_notes)),
        web.post(NOTES, endpoint(create_note)),
        web.get(NOTES + "/{note_id}", endpoint(show_note)),
        web.put(NOTES + "/{note_id}", endpoint(edit_note)),
        web.delete(NOTES + "/{note_id}", endpoint(delete_note)),
        web.get(NOTES + "/{note_id}/award_emoji", endpoint(list_awards)),
        web.post(NOTES + "/{note_id}/award_emoji", endpoint(create_award)),
        web.delete(NOTES + "/{note_id}/award_emoji/{award_id}", endpoint(delete_award)),
        web.get(DISCUSSIONS, endpoint(list_discussions)),
        web.post(DISCUSSIONS, endpoint(create_discussion)),
        web.get(DISCUSSIONS + "/{discussion_id}", endpoint(show_discussion)),
        web.put(DISCUSSIONS + "/{discussion_id}", endpoint(resolve_discussion)),
        web.post(DISCUSSIONS + "/{discussion_id}/notes", endpoint(create_reply)),
        web.put(DISCUSSIONS + "/{discussion_id}/notes/{note_id}", endpoint(edit_reply)),
        web.delete(DISCUSSIONS + "/{discussion_id}/notes/{note_id}", endpoint(delete_note)),
    ]


def _visible(call: Call, note: Note) -> bool:
    return not any(word in note.body for word in call.world.settings.hidden_note_words)


def _note(call: Call, merge_request: MergeRequest) -> Note:
    wanted = call.path_number("note_id")
    found = next((note for note in merge_request.notes if note.id == wanted), None)
    if found is None:
        raise not_found("Note")
    return found


def _discussion(call: Call, merge_request: MergeRequest) -> Discussion:
    found = merge_request.discussion(call.request.match_info["discussion_id"])
    if found is None:
        raise not_found("Discussion")
    return found


def _commentable(call: Call) -> MergeRequest:
    """Return the merge request when a note may be written there; counts it."""
    merge_request = call.merge_request()
    if not call.may_comment(merge_request):
        raise forbidden()
    comments.check_rate(call.world, call.user)
    body = call.required("body")
    scopes = call.token.scopes
    if "api" not in scopes and quick_actions.extract(body).commands:
        raise forbidden("Quick actions cannot be used with AI workflows.")
    return merge_request


# --- notes ------------------------------------------------------------------------


async def list_notes(call: Call) -> web.Response:
    merge_request = call.merge_request()
    notes = list(merge_request.notes)
    if call.text("activity_filter") == "only_comments":
        notes = [note for note in notes if not note.system]
    order = call.text("order_by", "created_at")
    notes.sort(
        key=lambda n: (n.updated_at if order == "updated_at" else n.created_at, n.id),
        reverse=call.text("sort", "desc") == "desc",
    )
    return page_of(
        call,
        notes,
        lambda page: [
            note_views.note(call.world, merge_request, n) for n in page if _visible(call, n)
        ],
    )


async def show_note(call: Call) -> web.Response:
    merge_request = call.merge_request()
    return reply(note_views.note(call.world, merge_request, _note(call, merge_request)))


async def create_note(call: Call) -> web.Response:
    merge_request = _commentable(call)
    new = comments.NewNote(call.required("body"), internal=call.flag("internal"))
    posted = comments.post(call.world, merge_request, call.user, new)
    return _posted(call, merge_request, posted)


def _posted(call: Call, merge_request: MergeRequest, posted: comments.Posted) -> web.Response:
    if posted.note is None:
        return reply({"commands_changes": posted.commands, "summary": posted.summary}, 202)
    shown = note_views.note(call.world, merge_request, posted.note)
    return reply({**shown, "commands_changes": posted.commands}, 201)


async def edit_note(call: Call) -> web.Response:
    merge_request = call.merge_request()
    note = _own_note(call, merge_request)
    comments.edit(call.world, merge_request, note, call.required("body"))
    return reply(note_views.note(call.world, merge_request, note))


def _own_note(call: Call, merge_request: MergeRequest) -> Note:
    note = _note(call, merge_request)
    level = merge_request.project.access_level(call.user)
    own = note.author is call.user and not note.system
    if merge_request.project.archived or not (own or level >= MAINTAINER):
        raise forbidden()
    return note


async def delete_note(call: Call) -> web.Response:
    merge_request = call.merge_request()
    merge_request.notes.remove(_own_note(call, merge_request))
    return no_content()


# --- emoji ------------------------------------------------------------------------


async def list_awards(call: Call) -> web.Response:
    note = _note(call, call.merge_request())
    return page_of(
        call, note.awards, lambda page: [note_views.award(call.world, a, note.id) for a in page]
    )


async def create_award(call: Call) -> web.Response:
    merge_request = call.merge_request()
    if not call.may_comment(merge_request):
        raise forbidden()
    note = _note(call, merge_request)
    name = call.required("name")
    if any(award.user is call.user and award.name == name for award in note.awards):
        raise not_found("Award Emoji Name has already been taken")
    award = Award(call.world.next_id(), name, call.user, call.world.clock.now())
    note.awards.append(award)
    events.emoji_event(call.world, merge_request, note, award, "award")
    return reply(note_views.award(call.world, award, note.id), 201)


async def delete_award(call: Call) -> web.Response:
    merge_request = call.merge_request()
    note = _note(call, merge_request)
    wanted = call.path_number("award_id")
    award = next((a for a in note.awards if a.id == wanted), None)
    if award is None:
        raise not_found("Award Emoji")
    if award.user is not call.user:
        raise message(401, "401 Unauthorized")
    note.awards.remove(award)
    events.emoji_event(call.world, merge_request, note, award, "revoke")
    return no_content()


# --- discussions ------------------------------------------------------------------


async def list_discussions(call: Call) -> web.Response:
    merge_request = call.merge_request()
    return page_of(
        call,
        merge_request.discussions(),
        lambda page: [note_views.discussion(call.world, merge_request, d) for d in page],
    )


async def show_discussion(call: Call) -> web.Response:
    merge_request = call.merge_request()
    return reply(note_views.discussion(call.world, merge_request, _discussion(call, merge_request)))


async def create_discussion(call: Call) -> web.Response:
    merge_request = _commentable(call)
    raw = call.params.get("position")
    position = None if raw is None else comments.read_position(raw)
    new = comments.NewNote(call.required("body"), "DiscussionNote", position=position)
    posted = comments.post(call.world, merge_request, call.user, new)
    if posted.note is None:
        return _posted(call, merge_request, posted)
    discussion = merge_request.discussion(posted.note.discussion_id)
    if discussion is None:
        raise not_found("Discussion")
    return reply(note_views.discussion(call.world, merge_request, discussion), 201)


async def create_reply(call: Call) -> web.Response:
    merge_request = call.merge_request()
    discussion = _discussion(call, merge_request)
    _commentable(call)
    posted = comments.reply(call.world, merge_request, call.user, discussion, call.required("body"))
    return _posted(call, merge_request, posted)


async def resolve_discussion(call: Call) -> web.Response:
    merge_request = call.merge_request()
    discussion = _discussion(call, merge_request)
    call.required("resolved")
    _resolve(call, merge_request, discussion.notes)
    return reply(note_views.discussion(call.world, merge_request, discussion))


def _resolve(call: Call, merge_request: MergeRequest, notes: list[Note]) -> None:
    if merge_request.project.archived or not may_resolve(merge_request, call.user):
        raise forbidden()
    if not any(note.resolvable for note in notes):
        raise bad_request("Note is not resolvable")
    comments.set_resolved(
        call.world, merge_request, call.user, notes, resolved=call.flag("resolved")
    )


async def edit_reply(call: Call) -> web.Response:
    merge_request = call.merge_request()
    given = {"body", "resolved"} & set(call.params)
    if len(given) != 1:
        problem = "are missing, exactly one parameter must be provided"
        if given:
            problem = "are mutually exclusive"
        raise invalid(f"body, resolved {problem}")
    if given == {"body"}:
        return await edit_note(call)
    note = _note(call, merge_request)
    _resolve(call, merge_request, [note])
    return reply(note_views.note(call.world, merge_request, note))
