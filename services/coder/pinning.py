"""Which commit a coding task is for: pure, from what GitLab and the log say (SR-08)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from libs.common.events.tasks import DiffRefs
from libs.common.gitlab.models import Commit, MergeRequest, Version

LONGEST_WAIT = timedelta(minutes=2)
"""GitLab makes versions asynchronously; past this they are taken as they are."""


def pinned(versions: Sequence[Version], at: datetime) -> Version | None:
    """The newest version that is not younger than `at`, else the oldest; None without any.

    `versions` is newest first, as GitLab lists them.
    """
    seen = (one for one in versions if one.created_at is not None and one.created_at <= at)
    return next(seen, versions[-1] if versions else None)


def lag(head: str, versions: Sequence[Version], own: str) -> str:
    """Why GitLab is not ready to be asked, or an empty text.

    `head` is the branch's tip, `own` the last commit that we know to be on it.
    """
    known = {version.head_commit_sha for version in versions}
    if head not in known:
        return "GitLab has not made the diff of the branch's head yet"
    if own and own not in known:
        return "GitLab does not show our own last commit yet"
    return ""


def only_ours(pin: Version, commits: Sequence[Commit], ours: Collection[str]) -> bool:
    """Whether all commits since the pin are of our tasks; `commits` is newest first.

    False when the pin is not among them any more: the branch was rewritten.
    """
    since: list[str] = []
    for commit in commits:
        if commit.id == pin.head_commit_sha:
            break
        since.append(commit.id)
    else:
        if pin.head_commit_sha not in (pin.base_commit_sha, pin.start_commit_sha):
            return False
    return bool(since) and all(sha in ours for sha in since)


def refs_of(version: Version) -> DiffRefs:
    return DiffRefs(
        base_sha=version.base_commit_sha,
        start_sha=version.start_commit_sha,
        head_sha=version.head_commit_sha,
    )


def refs_at(head: str, versions: Sequence[Version]) -> DiffRefs:
    """The refs of the version with this head; without one, a diff of nothing."""
    found = next((one for one in versions if one.head_commit_sha == head), None)
    return refs_of(found) if found else alone(head)


def alone(sha: str) -> DiffRefs:
    """Refs of a commit that is compared to nothing but itself."""
    return DiffRefs(base_sha=sha, start_sha=sha, head_sha=sha)


def refs_now(mr: MergeRequest) -> DiffRefs | None:
    """The refs of the merge request's head now; None while GitLab has not made its diff."""
    if mr.diff_refs is None or mr.diff_refs.head_sha != mr.sha:
        return None
    return mr.diff_refs
