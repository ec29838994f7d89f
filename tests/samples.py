"""Events as tests need them: one believable example each, changed where a test cares."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from libs.common.events.tasks import DiffRefs, TaskRequested

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BASE, HEAD = "b" * 40, "a" * 40


def refs(head_sha: str = HEAD, base_sha: str = BASE) -> DiffRefs:
    return DiffRefs(base_sha=base_sha, start_sha=base_sha, head_sha=head_sha)


def review_request(head_sha: str = HEAD, **changes: Any) -> TaskRequested:
    """The request for a review of 42!7; its task id follows from project, iid and head."""
    known: dict[str, Any] = {"project_id": 42, "iid": 7} | changes
    project_id, iid = known["project_id"], known["iid"]
    request = TaskRequested(
        task_id=f"review-{project_id}-{iid}-{head_sha[:16]}-0",
        kind="review",
        scope=str(project_id),
        ref=str(iid),
        project_id=project_id,
        iid=iid,
        clone_url="https://gitlab.test/group/project.git",
        web_url=f"https://gitlab.test/group/project/-/merge_requests/{iid}",
        source_branch="topic",
        target_branch="main",
        diff_refs=refs(head_sha),
        title="Change a.py",
        expires_at=NOW,
    )
    return msgspec.structs.replace(request, **changes)
