"""The task a review is made of: pure, from what the API said. Called by `handlers`.

Texts from people are cut here, once, so that no event and no prompt grows without bound.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from libs.common.errors import Permanent
from libs.common.events.tasks import Limits, TaskRequested
from libs.common.gitlab.models import Commit, MergeRequest, Project

LONGEST_TITLE = 1_000
LONGEST_DESCRIPTION = 60_000
LONGEST_COMMIT_MESSAGE = 2_000
MOST_COMMITS = 50
SHORTEST_LIFE = timedelta(hours=6)
"""A task may wait this long for a slot before it is given up."""


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
        raise Permanent("a merge request without diff_refs cannot be reviewed")
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
        title=_shortened(mr.title, LONGEST_TITLE),
        description=_shortened(mr.description, LONGEST_DESCRIPTION),
        author=mr.author_username,
        commit_messages=tuple(
            _shortened(commit.message, LONGEST_COMMIT_MESSAGE) for commit in commits[:MOST_COMMITS]
        ),
        limits=limits,
        expires_at=now + max(SHORTEST_LIFE, timedelta(seconds=4 * limits.timeout)),
    )


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
