"""The task a review is made of: pure, from what the API said.

Called by `handlers` and `commanded`.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from libs.common.appending import Refusal
from libs.common.asking import Asked, Denied
from libs.common.errors import Permanent
from libs.common.events.tasks import DiffRefs, Limits, TaskRequested
from libs.common.gitlab.models import Commit, MergeRequest, Project
from libs.common.requesting import (
    LAUNCHES,
    LONGEST_DESCRIPTION,
    LONGEST_TITLE,
    expires_at,
    shortened,
)

LONGEST_COMMIT_MESSAGE = 2_000
MOST_COMMITS = 50
NO_DIFF = "a merge request without diff_refs cannot be reviewed"
NO_SHA = "0" * 40
"""Stands for the head of a refused task when GitLab names none."""


def task_requested(
    task_id: str,
    mr: MergeRequest,
    project: Project,
    commits: list[Commit],
    *,
    limits: Limits,
    now: datetime,
) -> TaskRequested:
    """The request for a review of the head the API reports; raises `Permanent` without a diff."""
    if mr.diff_refs is None:
        raise Permanent(NO_DIFF)
    return TaskRequested(
        task_id=task_id,
        kind="review",
        scope=str(mr.project_id),
        ref=str(mr.iid),
        project_id=mr.project_id,
        iid=mr.iid,
        clone_url=project.http_url_to_repo,
        web_url=mr.web_url,
        source_branch=mr.source_branch,
        target_branch=mr.target_branch,
        diff_refs=mr.diff_refs,
        title=shortened(mr.title, LONGEST_TITLE),
        description=shortened(mr.description, LONGEST_DESCRIPTION),
        author=mr.author_username,
        commit_messages=_messages(commits),
        limits=limits,
        expires_at=expires_at(limits, now),
    )


def commanded(
    found: Asked | Denied, project: Project, *, limits: Limits, now: datetime
) -> TaskRequested:
    """The request for a review that a person asked for, as refusals have it: never launched."""
    mr, note_id = found.mr, found.asked_in.note_id
    if mr.diff_refs is None:
        head = mr.sha or NO_SHA
        refs = DiffRefs(base_sha=head, start_sha=head, head_sha=head)
        mr = msgspec.structs.replace(mr, diff_refs=refs)
    head_sha = mr.diff_refs.head_sha if mr.diff_refs else mr.sha
    task_id = f"review-{mr.project_id}-{mr.iid}-{head_sha[:16]}-n{note_id}"
    request = task_requested(task_id, mr, project, [], limits=limits, now=now)
    return msgspec.structs.replace(
        request, asked_in=found.asked_in, requester=found.requester, max_launches=0
    )


def to_run(hollow: TaskRequested, mr: MergeRequest, commits: list[Commit]) -> TaskRequested:
    """The request that a Job is for; raises `Permanent` without a diff."""
    if mr.diff_refs is None:
        raise Permanent(NO_DIFF)
    return msgspec.structs.replace(
        hollow, commit_messages=_messages(commits), max_launches=LAUNCHES
    )


def refusal(found: Asked) -> Refusal | None:
    """Why a command that stands, of a person who may give it, starts no review, or None."""
    if found.mr.state != "opened":
        return Refusal(code="closed")
    # What the review says would be read by more people than the question (SR-10).
    return Refusal(code="internal_note") if found.note.internal else None


def _messages(commits: list[Commit]) -> tuple[str, ...]:
    return tuple(
        shortened(commit.message, LONGEST_COMMIT_MESSAGE) for commit in commits[:MOST_COMMITS]
    )
