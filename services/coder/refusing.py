"""Why a command changes no code: pure rules over what GitLab says (SR-07, SR-10, SR-35).

Called by `commanding` and, when a task is asked again, by `advancing`. Words are the publisher's.
"""

from __future__ import annotations

import msgspec

from libs.common.access import DEVELOPER, MAINTAINER, role
from libs.common.appending import Refusal
from libs.common.gitlab.models import Branch, MergeRequest, Note, Project


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a commit would go, as GitLab says now.

    `source` is None when the fork cannot be read, `branch` when it is gone. `target` is looked up
    for forks only. `protected` are names and patterns of the source project.
    """

    mr: MergeRequest
    source: Project | None
    branch: Branch | None = None
    target: Branch | None = None
    protected: tuple[str, ...] = ()

    @property
    def is_fork(self) -> bool:
        return is_fork(self.mr)


def is_fork(mr: MergeRequest) -> bool:
    return mr.source_project_id != mr.project_id


def of_state(mr: MergeRequest, note: Note | None) -> Refusal | None:
    """What needs no further question; `note` is None when it was judged before."""
    if note is not None and note.internal:
        return Refusal(code="internal_note")
    if mr.state != "opened":
        return Refusal(code="closed", detail=mr.state)
    if is_fork(mr) and (mr.source_project_id is None or not mr.allow_collaboration):
        return Refusal(code="fork", detail="it takes no commits from members of the target")
    return None


def of_place(place: Place, level: int) -> Refusal | None:
    """Whether a person of this role could push to the branch, and whether we would (SR-35)."""
    if place.source is None:
        return Refusal(code="fork", detail="the source project cannot be read")
    if place.branch is None:
        return Refusal(code="no_branch")
    if _is_protected(place.branch, place.source, place.protected):
        return Refusal(code="protected")
    if place.is_fork:
        return _of_fork(place.target, level)
    if level < DEVELOPER:
        return Refusal(code="access", needed=role(DEVELOPER), detail="to push to the branch")
    return None


def _is_protected(branch: Branch, source: Project, patterns: tuple[str, ...]) -> bool:
    if branch.protected or branch.default or branch.name == source.default_branch:
        return True
    return any(covers(pattern, branch.name) for pattern in patterns)


def covers(pattern: str, name: str) -> bool:
    """Whether a protected branch's name or pattern covers `name`; `*` stands for any letters."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == name
    last, at = rest.pop(), len(first)
    for part in rest:
        found = name.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return name.startswith(first) and name.endswith(last) and len(name) - len(last) >= at


def _of_fork(target: Branch | None, level: int) -> Refusal | None:
    """Such a fork takes commits of those who may merge into the target branch, says GitLab."""
    free = target is not None and (not target.protected or target.developers_can_merge)
    needed = DEVELOPER if free else MAINTAINER
    if level >= needed:
        return None
    return Refusal(code="access", needed=role(needed), detail="to merge into the target branch")
