"""Webhook bodies, shaped as real servers send them (reference section 1.1).

Called by `events`, which knows what happened. Pure apart from reading records and git.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .repository import ZERO_SHA
from .state import STATE_IDS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from .positions import Position
    from .repository import Commit
    from .state import MergeRequest, Note, Project, User
    from .world import World

VISIBILITY_LEVELS = {"private": 0, "internal": 10, "public": 20}


def hook_time(world: World, moment: datetime | None) -> str | None:
    if moment is None:
        return None
    if world.settings.iso_hook_times:
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def user_block(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "name": user.name,
        "username": user.username,
        "avatar_url": None,
        "email": user.public_email or "[REDACTED]",
    }


def project_block(project: Project) -> dict[str, Any]:
    ssh = f"git@gitlab.example.com:{project.path_with_namespace}.git"
    return {
        "id": project.id,
        "name": project.name,
        "description": None,
        "web_url": project.web_url,
        "avatar_url": None,
        "git_ssh_url": ssh,
        "git_http_url": project.http_url,
        "namespace": project.path_with_namespace.rsplit("/", 1)[0],
        "visibility_level": VISIBILITY_LEVELS[project.visibility],
        "path_with_namespace": project.path_with_namespace,
        "default_branch": project.default_branch,
        "ci_config_path": "",
        "homepage": project.web_url,
        "url": ssh,
        "ssh_url": ssh,
        "http_url": project.http_url,
    }


def repository_block(project: Project) -> dict[str, Any]:
    block = project_block(project)
    return {
        "name": project.name,
        "url": block["url"],
        "description": None,
        "homepage": project.web_url,
    }


def commit_block(project: Project, commit: Commit) -> dict[str, Any]:
    return {
        "id": commit.sha,
        "message": commit.message,
        "title": commit.title,
        "timestamp": commit.date,
        "url": f"{project.web_url}/-/commit/{commit.sha}",
        "author": {"name": commit.author_name, "email": "[REDACTED]"},
    }


def label_block(project: Project, title: str) -> dict[str, Any]:
    return {
        "id": sum(title.encode()),
        "title": title,
        "color": "#0075ca",
        "project_id": project.id,
        "template": False,
        "description": None,
        "type": "ProjectLabel",
        "group_id": None,
    }


def merge_request_attributes(world: World, merge_request: MergeRequest) -> dict[str, Any]:
    """Return the block that MR and note events share: what MergeRequestBuilder builds."""
    first = merge_request.assignees[0].id if merge_request.assignees else None
    source = merge_request.source_project
    attributes = {
        "assignee_id": first,
        "author_id": merge_request.author.id,
        "created_at": hook_time(world, merge_request.created_at),
        "description": merge_request.description,
        "draft": merge_request.draft,
        "head_pipeline_id": None,
        "id": merge_request.id,
        "iid": merge_request.iid,
        "last_edited_at": None,
        "last_edited_by_id": None,
        "merge_commit_sha": merge_request.merge_commit_sha,
        "merge_error": None,
        "merge_params": {"force_remove_source_branch": "0"},
        "merge_status": "unchecked",
        "merge_user_id": None,
        "merge_when_pipeline_succeeds": False,
        "milestone_id": None,
        "source_branch": merge_request.source_branch,
        "source_project_id": source.id if source else None,
        "state_id": STATE_IDS[merge_request.state],
        "target_branch": merge_request.target_branch,
        "target_project_id": merge_request.project.id,
        "time_estimate": 0,
        "title": merge_request.title,
        "updated_at": hook_time(world, merge_request.updated_at),
        "updated_by_id": None,
        "prepared_at": hook_time(world, merge_request.prepared_at),
        "assignee_ids": [user.id for user in merge_request.assignees],
        "blocking_discussions_resolved": True,
        "detailed_merge_status": "unchecked" if merge_request.prepared_at else "preparing",
        "first_contribution": False,
        "human_time_change": None,
        "human_time_estimate": None,
        "human_total_time_spent": None,
        "labels": [label_block(merge_request.project, name) for name in merge_request.labels],
        "last_commit": _last_commit(merge_request),
        "reviewer_ids": [user.id for user in merge_request.reviewers],
        "source": project_block(source) if source else None,
        "state": merge_request.state,
        "target": project_block(merge_request.project),
        "time_change": 0,
        "total_time_spent": 0,
        "url": merge_request.web_url,
        "work_in_progress": merge_request.draft,
    }
    if world.settings.legacy_hooks:
        del attributes["draft"]
    return attributes


def _last_commit(merge_request: MergeRequest) -> dict[str, Any] | None:
    if not merge_request.versions:
        return None
    commit = merge_request.project.repository.one_commit(merge_request.head_sha)
    return commit_block(merge_request.source_project or merge_request.project, commit)


def _people(merge_request: MergeRequest) -> dict[str, Any]:
    """Return the keys that are absent, not empty, when there is nobody."""
    people = {"assignees": merge_request.assignees, "reviewers": merge_request.reviewers}
    return {key: [user_block(u) for u in users] for key, users in people.items() if users}


def merge_request_body(
    world: World,
    merge_request: MergeRequest,
    user: User,
    *,
    action: str,
    changes: dict[str, Any],
    extra: dict[str, Any],
) -> dict[str, Any]:
    attributes = merge_request_attributes(world, merge_request)
    return {
        "object_kind": "merge_request",
        "event_type": "merge_request",
        "user": user_block(user),
        "project": project_block(merge_request.project),
        "object_attributes": {**attributes, "action": action, **extra},
        "labels": attributes["labels"],
        "changes": changes,
        "repository": repository_block(merge_request.project),
        **_people(merge_request),
    }


def note_body(world: World, merge_request: MergeRequest, note: Note, action: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "object_kind": "note",
        "event_type": "confidential_note" if note.internal else "note",
        "user": user_block(note.author),
        "project_id": merge_request.project.id,
        "project": project_block(merge_request.project),
        "object_attributes": _note_attributes(world, merge_request, note),
        "repository": repository_block(merge_request.project),
        "merge_request": merge_request_attributes(world, merge_request),
    }
    if not world.settings.legacy_hooks:
        body["object_attributes"]["action"] = action
    return body


def _note_attributes(world: World, merge_request: MergeRequest, note: Note) -> dict[str, Any]:
    return {
        "attachment": None,
        "author_id": note.author.id,
        "change_position": None,
        "commit_id": None,
        "created_at": hook_time(world, note.created_at),
        "discussion_id": note.discussion_id,
        "id": note.id,
        "internal": note.internal,
        "line_code": note.line_code,
        "note": note.body,
        "noteable_id": merge_request.id,
        "noteable_type": "MergeRequest",
        "original_position": position_block(note.original_position),
        "position": position_block(note.position),
        "project_id": merge_request.project.id,
        "resolved_at": hook_time(world, note.resolved_at),
        "resolved_by_id": note.resolved_by.id if note.resolved_by else None,
        "resolved_by_push": None,
        "st_diff": None,
        "system": note.system,
        "type": note.type,
        "updated_at": hook_time(world, note.updated_at),
        "updated_by_id": None,
        "description": note.body,
        "url": f"{merge_request.web_url}#note_{note.id}",
    }


def position_block(position: Position | None) -> dict[str, Any] | None:
    if position is None:
        return None
    return {
        "base_sha": position.base_sha,
        "start_sha": position.start_sha,
        "head_sha": position.head_sha,
        "old_path": position.old_path,
        "new_path": position.new_path,
        "position_type": position.position_type,
        "old_line": position.old_line,
        "new_line": position.new_line,
        "line_range": position.line_range,
    }


def push_options(options: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Group options by their first part: `ci.skip` is {"ci": {"skip": true}}."""
    grouped: dict[str, dict[str, Any]] = {}
    for option in options:
        name, _, value = option.partition("=")
        group, _, key = name.partition(".")
        grouped.setdefault(group, {})[key] = value or True
    return grouped


def push_body(project: Project, user: User, ref: str, before: str, after: str) -> dict[str, Any]:
    repository = project.repository
    commits: list[Commit] = []
    if after != ZERO_SHA:
        span = after if before == ZERO_SHA else f"{before}..{after}"
        commits = repository.commits(span, limit=20)
    kind = "tag_push" if ref.startswith("refs/tags/") else "push"
    return {
        "object_kind": kind,
        "event_name": kind,
        "before": before,
        "after": after,
        "ref": ref,
        "ref_protected": False,
        "checkout_sha": None if after == ZERO_SHA else after,
        "message": None,
        "user_id": user.id,
        "user_name": user.name,
        "user_username": user.username,
        "user_email": None,
        "user_avatar": None,
        "project_id": project.id,
        "project": project_block(project),
        "commits": [
            {**commit_block(project, c), "added": [], "modified": [], "removed": []}
            for c in reversed(commits)
        ],
        "total_commits_count": len(commits),
        "push_options": {},
        "repository": {
            **repository_block(project),
            "git_http_url": project.http_url,
            "git_ssh_url": project_block(project)["ssh_url"],
            "visibility_level": VISIBILITY_LEVELS[project.visibility],
        },
    }
