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
