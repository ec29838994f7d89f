"""Notes, discussions, drafts and emoji as the REST API shows them. Called by the endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .hook_bodies import position_block
from .positions import Position
from .views import iso, user

if TYPE_CHECKING:
    from .state import Award, Discussion, DraftNote, MergeRequest, Note, Suggestion
    from .world import World


def note(world: World, record: MergeRequest, one: Note) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": one.id,
        "type": one.type,
        "body": one.body,
        "attachment": None,
        "author": user(world, one.author),
        "created_at": iso(one.created_at),
        "updated_at": iso(one.updated_at),
        "system": one.system,
        "noteable_id": record.id,
        "noteable_type": "MergeRequest",
        "project_id": record.project.id,
        "resolvable": one.resolvable,
        "confidential": one.internal,
        "internal": one.internal,
        "imported": False,
        "imported_from": "none",
        "noteable_iid": record.iid,
        "commands_changes": {},
    }
    if one.type == "DiffNote" and one.position is not None:
        shown["commit_id"] = None
        shown["position"] = position_block(one.position)
        shown["suggestions"] = [suggestion(record, one, s) for s in one.suggestions]
    if one.resolvable:
        shown["resolved"] = one.resolved
        shown["resolved_by"] = user(world, one.resolved_by) if one.resolved_by else None
        shown["resolved_at"] = iso(one.resolved_at)
    return shown


def suggestion(record: MergeRequest, of: Note, one: Suggestion) -> dict[str, Any]:
    return {
        "id": one.id,
        "from_line": one.from_line,
        "to_line": one.to_line,
        "appliable": record.state == "opened" and not of.outdated,
        "applied": False,
        "from_content": one.from_content,
        "to_content": one.to_content,
    }


def discussion(world: World, record: MergeRequest, one: Discussion) -> dict[str, Any]:
    return {
        "id": one.id,
        "individual_note": one.individual_note,
        "notes": [note(world, record, each) for each in one.notes],
    }


def draft(record: MergeRequest, one: DraftNote) -> dict[str, Any]:
    nothing = Position("", "", "")
    empty = {name: value or None for name, value in (position_block(nothing) or {}).items()}
    return {
        "id": one.id,
        "author_id": one.author.id,
        "merge_request_id": record.id,
        "resolve_discussion": one.resolve_discussion,
        "discussion_id": one.discussion_id,
        "note": one.note,
        "commit_id": None,
        "line_code": one.line_code,
        "position": position_block(one.position) or empty,
    }


def award(world: World, one: Award, note_id: int) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "user": user(world, one.user),
        "created_at": iso(one.created_at),
        "updated_at": iso(one.created_at),
        "awardable_id": note_id,
        "awardable_type": "Note",
        "url": None,
    }
