"""Tells the webhooks what happened: which hook, with which changes.

Called by `merge_requests` (the life of a merge request), `comments` and git pushes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import hook_bodies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .state import Award, MergeRequest, Note, Project, User
    from .world import World


def merge_request_event(
    world: World,
    merge_request: MergeRequest,
    user: User,
    action: str,
    changes: dict[str, Any] | None = None,
    **extra: Any,
) -> None:
    body = hook_bodies.merge_request_body(
        world, merge_request, user, action=action, changes=changes or {}, extra=extra
    )
    world.webhooks.fire(merge_request.project, "merge_request", body)


def note_event(world: World, merge_request: MergeRequest, note: Note, action: str) -> None:
    """System notes tell nobody; every other note does, our own too."""
    if note.system:
        return
    event = "confidential_note" if note.internal else "note"
    body = hook_bodies.note_body(world, merge_request, note, action)
    world.webhooks.fire(merge_request.project, event, body)


def push_events(
    world: World,
    project: Project,
    user: User,
    changed: dict[str, tuple[str, str]],
    options: Sequence[str] = (),
) -> None:
    """Fire for each ref, unless so many changed that GitLab stays silent."""
    if len(changed) > world.settings.push_event_hooks_limit:
        return
    for ref, (before, after) in changed.items():
        body = hook_bodies.push_body(project, user, ref, before, after)
        body["push_options"] = hook_bodies.push_options(options)
        world.webhooks.fire(project, body["object_kind"], body)


def emoji_event(
    world: World, merge_request: MergeRequest, note: Note, award: Award, action: str
) -> None:
    body = {
        "object_kind": "emoji",
        "event_type": action,
        "user": hook_bodies.user_block(award.user),
        "project_id": merge_request.project.id,
        "project": hook_bodies.project_block(merge_request.project),
        "object_attributes": {
            "id": award.id,
            "user_id": award.user.id,
            "name": award.name,
            "awardable_type": "Note",
            "awardable_id": note.id,
            "created_at": hook_bodies.hook_time(world, award.created_at),
            "updated_at": hook_bodies.hook_time(world, award.created_at),
            "action": action,
            "awarded_on_url": f"{merge_request.web_url}#note_{note.id}",
        },
        "note": hook_bodies.note_body(world, merge_request, note, "")["object_attributes"],
        "merge_request": hook_bodies.merge_request_attributes(world, merge_request),
    }
    world.webhooks.fire(merge_request.project, "emoji", body)
