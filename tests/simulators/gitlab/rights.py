"""Who may write to which branch: protected branches with patterns, and collaboration on forks.

Called by git pushes, the branch endpoints and the page. Rules of Gitlab::Checks::BranchCheck and
Gitlab::UserAccess: of several patterns that match, the most permissive counts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .state import DEVELOPER, Protection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .receive_pack import RefUpdate
    from .state import Project, User
    from .world import World

HEX_BRANCH = re.compile(r"[0-9a-fA-F]{40}")
PUSH_PROTECTED = "You are not allowed to push code to protected branches on this project."
FORCE_PROTECTED = "You are not allowed to force push code to a protected branch on this project."
CREATE_PROTECTED = "You are not allowed to create protected branches on this project."
CREATE_BY_GIT = "You can only create protected branches using the web interface and API."
DELETE_PROTECTED = (
    "You are not allowed to delete protected branches from this project. Only a project "
    "maintainer or owner can delete a protected branch."
)
DELETE_BY_GIT = "You can only delete protected branches using the web interface."
DELETE_DEFAULT = "The default branch of a project cannot be deleted."
HEX_NAME = "You cannot create a branch with a 40-character hexadecimal branch name."
NO_PUSH = "You are not allowed to push code to this project."


def protection(project: Project, branch: str) -> Protection | None:
    """Return the rule of a branch, or None when it is not protected."""
    rules = [rule for pattern, rule in project.protections.items() if _matches(pattern, branch)]
    if not rules:
        return None
    return Protection(
        push=_lowest(rule.push for rule in rules),
        merge=_lowest(rule.merge for rule in rules),
        force=any(rule.force for rule in rules),
    )


def _matches(pattern: str, branch: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), branch) is not None


def _lowest(levels: Iterable[int]) -> int:
    """Return the least level that lets anybody in; 0 lets in no one."""
    return min((level for level in levels if level), default=0)


def may_push(world: World, project: Project, user: User, branch: str) -> bool:
    if project.archived:
        return False
    rule = protection(project, branch)
    needed = rule.push if rule else DEVELOPER
    if 0 < needed <= project.access_level(user):
        return True
    return rule is None and collaborates(world, project, user, branch)


def may_merge(project: Project, user: User, branch: str) -> bool:
    """Merging is for those who may merge into the branch or push to it."""
    rule = protection(project, branch)
    levels = (rule.merge, rule.push) if rule else (DEVELOPER,)
    return any(0 < needed <= project.access_level(user) for needed in levels)


def collaborates(world: World, project: Project, user: User, branch: str | None = None) -> bool:
    """Tell whether an open merge request lets `user`, who may merge it, push to its source.

    Seen in Project#fetch_branch_allows_collaboration: the right is that of merging into the
    target branch, so a Developer has it only where Developers may merge.
    """
    return any(
        merge_request.allow_collaboration
        and merge_request.state == "opened"
        and merge_request.source_project is project
        and merge_request.project is not project
        and branch in {None, merge_request.source_branch}
        and may_merge(merge_request.project, user, merge_request.target_branch)
        for target in world.projects.values()
        for merge_request in target.merge_requests.values()
    )


def refusal(world: World, project: Project, user: User, updates: list[RefUpdate]) -> str:
    """Return GitLab's words against the first ref that may not be updated so, or nothing."""
    for update in updates:
        if update.branch is None:
            if project.access_level(user) < DEVELOPER:
                return NO_PUSH
            continue
        words = _branch_refusal(world, project, user, update)
        if words:
            return words
    return ""


def _branch_refusal(world: World, project: Project, user: User, update: RefUpdate) -> str:
    branch = update.branch or ""
    allowed = may_push(world, project, user, branch)
    if update.deletes and branch == project.default_branch:
        return DELETE_DEFAULT
    if HEX_BRANCH.fullmatch(branch):
        return HEX_NAME
    if protection(project, branch) is None:
        return "" if allowed else NO_PUSH
    if update.deletes:
        return DELETE_BY_GIT if allowed else DELETE_PROTECTED
    if allowed:
        return ""
    if update.creates:
        return CREATE_BY_GIT if may_merge(project, user, branch) else CREATE_PROTECTED
    return PUSH_PROTECTED


def not_forced(project: Project, updates: list[RefUpdate]) -> list[str]:
    """Return the refs that must move forward: updates of protected branches."""
    return [
        update.ref
        for update in updates
        if update.branch is not None
        and not (update.creates or update.deletes)
        and (rule := protection(project, update.branch)) is not None
        and not rule.force
    ]
