"""Draft notes: created without a look at the line, lost at publish when the line is wrong.

Behaviour of reference section 2.5. Called by the draft endpoints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import comments, quick_actions
from .errors import bad_request, message
from .state import DEVELOPER, DraftNote

if TYPE_CHECKING:
    from .positions import Position
    from .state import Discussion, MergeRequest, User
    from .world import World


def check_line_range(raw: Any) -> None:
    """Refuse old_line and new_line inside a line range, as the JSON schema of drafts does."""
    line_range = raw.get("line_range") if isinstance(raw, dict) else None
    if line_range is None:
        return
    sides = [line_range.get(side) for side in ("start", "end")]
    allowed = {"line_code", "type"}
    if any(not isinstance(side, dict) or set(side) - allowed for side in sides):
        raise message(400, {"position": ["must be a valid json schema"]})


def create(  # the fields of a draft
    world: World,
    merge_request: MergeRequest,
    author: User,
    text: str,
    *,
    position: Position | None,
    reply_to: str | None,
    resolve: bool,
) -> DraftNote:
    comments.check_body(text)
    if reply_to:
        _check_reply(merge_request, author, reply_to, resolve=resolve)
    draft = DraftNote(world.next_id(), text, author, reply_to, resolve, position)
    if position is not None and position.complete:
        draft.line_code = comments.position_line_code(world, merge_request, position)
    merge_request.drafts.append(draft)
    return draft


def _check_reply(
    merge_request: MergeRequest, author: User, discussion_id: str, *, resolve: bool
) -> None:
    if merge_request.discussion(discussion_id) is None:
        raise bad_request("Thread to reply to cannot be found")
    if resolve and not may_resolve(merge_request, author):
        raise bad_request("User is not allowed to resolve thread")
    mine = (d for d in merge_request.drafts if d.author is author)
    if any(draft.discussion_id == discussion_id for draft in mine):
        raise message(400, {"base": ["Draft note for this thread already exists"]})


def may_resolve(merge_request: MergeRequest, user: User) -> bool:
    level = merge_request.project.access_level(user)
    return level >= DEVELOPER or merge_request.author is user


def publish(
    world: World, merge_request: MergeRequest, author: User, drafts: list[DraftNote]
) -> None:
    """Turn drafts into notes. One whose line is not in the diff disappears without a word."""
    for draft in drafts:
        merge_request.drafts.remove(draft)
        _publish_one(world, merge_request, author, draft)


def _publish_one(world: World, merge_request: MergeRequest, author: User, draft: DraftNote) -> None:
    if draft.discussion_id is not None:
        discussion = merge_request.discussion(draft.discussion_id)
        if discussion is not None:
            _publish_reply(world, merge_request, author, draft, discussion)
        return
    position, code = draft.position, None
    if position is not None and not position.complete:
        position = None
    if position is not None and position.position_type == "text":
        code = comments.position_line_code(world, merge_request, position)
        if code is None:
            return
    extracted = quick_actions.extract(draft.note)
    if extracted.text:
        new = comments.NewNote(draft.note, "DiscussionNote", position=position)
        comments.save(world, merge_request, author, new, text=extracted.text, code=code)
    quick_actions.run(world, merge_request, author, extracted.commands)


def _publish_reply(  # a reply in its thread
    world: World,
    merge_request: MergeRequest,
    author: User,
    draft: DraftNote,
    discussion: Discussion,
) -> None:
    comments.reply(world, merge_request, author, discussion, draft.note)
    if draft.resolve_discussion != discussion.resolved:
        comments.set_resolved(
            world, merge_request, author, discussion.notes, resolved=draft.resolve_discussion
        )
