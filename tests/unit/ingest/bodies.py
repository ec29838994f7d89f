"""Webhook bodies as small as GitLab's meaning allows; each test changes what it is about."""

from __future__ import annotations

from typing import Any

A = "a" * 40
B = "b" * 40


def merge_request(action: str = "open", **attributes: Any) -> dict[str, Any]:
    """A merge request hook; `changes` goes to the top level, the rest to the attributes."""
    changes = attributes.pop("changes", {})
    return {
        "object_kind": "merge_request",
        "event_type": "merge_request",
        "project": {"id": 42, "path_with_namespace": "Team/App"},
        "object_attributes": {
            "iid": 7,
            "action": action,
            "state": "opened",
            "draft": False,
            "title": "Add a thing",
            "source_branch": "thing",
            "target_branch": "main",
            "updated_at": "2025-08-06 01:11:08 UTC",
            "last_commit": {"id": A},
            **attributes,
        },
        "changes": changes,
    }


def note(text: str = "/copilot review", **attributes: Any) -> dict[str, Any]:
    """A comment's hook; `username` is its author's, `body` goes to the top level."""
    username, top = attributes.pop("username", "ada"), attributes.pop("body", {})
    return {
        "object_kind": "note",
        "event_type": "note",
        "user": {"id": 5, "username": username},
        "project": {"id": 42, "path_with_namespace": "Team/App"},
        "object_attributes": {
            "id": 1031,
            "note": text,
            "noteable_type": "MergeRequest",
            "author_id": 5,
            "system": False,
            "action": "create",
            "internal": False,
            "discussion_id": "d" * 40,
            "created_at": "2025-08-06 01:11:08 UTC",
            "updated_at": "2025-08-06 01:11:08 UTC",
            **attributes,
        },
        "merge_request": {"id": 1, "iid": 7, "state": "opened"},
        **top,
    }
