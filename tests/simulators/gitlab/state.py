"""The records of the server: users, tokens, projects, merge requests, notes, drafts, hooks.

Plain data with the few rules that belong to one record. Everything lives in memory except the
repositories. Read and written by every other module of the simulator.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date, datetime

    from .positions import Position
    from .repository import Repository
    from .world import World

GUEST, REPORTER, DEVELOPER, MAINTAINER, OWNER = 10, 20, 30, 40, 50
_DRAFT_TITLE = re.compile(r"^\s*(?:\[draft\]|draft:|\(draft\))\s*", re.IGNORECASE)
STATE_IDS = {"opened": 1, "closed": 2, "merged": 3, "locked": 4}


@dataclass(eq=False)
class User:
    """A person or a bot; `state` is active or blocked."""

    id: int
    username: str
    name: str
    bot: bool = False
    state: str = "active"
    public_email: str = ""


@dataclass(eq=False)
class Token:
    """An access token: personal (or project) with scopes, or a CI job token."""

    value: str
    user: User
    scopes: frozenset[str]
    name: str = "token"
    expired: bool = False
    kind: str = "personal"
    created_at: datetime | None = None
    expires_at: str | None = "2099-01-01"


@dataclass
class Member:
    """An access level; `inherited` comes from a group and is not listed directly.

    A direct member may have `group_level` besides; the higher one counts. From `expires_at` on the
    membership gives no right, though it stays listed until a nightly job takes it away.
    """

    access_level: int
    inherited: bool = False
    group_level: int = 0
    expires_at: date | None = None

    @property
    def highest(self) -> int:
        return max(self.access_level, self.group_level)

    def level_on(self, today: date) -> int:
        expired = self.expires_at is not None and self.expires_at <= today
        return self.group_level if expired else self.highest


@dataclass(eq=False)
class Hook:
    """A webhook with its failure count; `system` ones get the header of system hooks."""

    id: int
    url: str
    secret: str | None = None
    signing_token: str | None = None
    events: frozenset[str] = frozenset({"merge_request", "note"})
    system: bool = False
    failures: int = 0
    disabled_until: datetime | None = None
    permanently_disabled: bool = False
    created_at: datetime | None = None


@dataclass
class Protection:
    """Least access levels to push to a branch and to merge into it; 0 is no one."""

    push: int = MAINTAINER
    merge: int = MAINTAINER
    force: bool = False


@dataclass(eq=False)
class Pipeline:
    """A pipeline that a push (or, by a setting, a merge request) started; nothing runs."""

    id: int
    iid: int
    ref: str
    sha: str
    user: User
    created_at: datetime
    source: str = "push"
    status: str = "pending"


@dataclass(eq=False)
class Project:
    """A project and its bare repository."""

    id: int
    path_with_namespace: str
    repository: Repository
    created_at: datetime
    world: World
    default_branch: str = "main"
    visibility: str = "private"
    archived: bool = False
    forked_from: Project | None = None
    members: dict[int, Member] = field(default_factory=dict)
    merge_requests: dict[int, MergeRequest] = field(default_factory=dict)
    hooks: list[Hook] = field(default_factory=list)
    protections: dict[str, Protection] = field(default_factory=dict)  # by name or pattern
    pipelines: list[Pipeline] = field(default_factory=list)  # oldest first
    ci_config_path: str = ""

    @property
    def name(self) -> str:
        return self.path_with_namespace.rsplit("/", 1)[-1]

    @property
    def web_url(self) -> str:
        return f"{self.world.external_url}/{self.path_with_namespace}"

    @property
    def http_url(self) -> str:
        return f"{self.web_url}.git"

    def access_level(self, user: User) -> int:
        member = self.members.get(user.id)
        if member is None or user.state != "active":
            return 0
        return member.level_on(self.world.clock.now().date())

    def visible_to(self, user: User) -> bool:
        return self.visibility == "public" or self.access_level(user) > 0


@dataclass(eq=False)
class DiffVersion:
    """One version of a merge request's diff; the API shows it from `visible_at` on."""

    id: int
    base_sha: str
    start_sha: str
    head_sha: str
    created_at: datetime
    visible_at: datetime

    @property
    def diff_refs(self) -> dict[str, str]:
        return {
            "base_sha": self.base_sha,
            "head_sha": self.head_sha,
            "start_sha": self.start_sha,
        }


@dataclass(eq=False)
class Award:
    """An emoji that a user gave to a note."""

    id: int
    name: str
    user: User
    created_at: datetime


@dataclass(eq=False)
class Suggestion:
    """A change that a reader can apply; lines are those of the new side."""

    id: int
    from_line: int
    to_line: int
    from_content: str
    to_content: str


@dataclass(eq=False)
class Note:
    """A comment. `type` is None, DiscussionNote or DiffNote, as in GitLab."""

    id: int
    body: str
    author: User
    discussion_id: str
    created_at: datetime
    updated_at: datetime
    type: str | None = None
    system: bool = False
    internal: bool = False
    position: Position | None = None
    original_position: Position | None = None
    line_code: str | None = None
    outdated: bool = False
    resolved_by: User | None = None
    resolved_at: datetime | None = None
    suggestions: list[Suggestion] = field(default_factory=list)
    awards: list[Award] = field(default_factory=list)

    @property
    def resolvable(self) -> bool:
        return self.type is not None and not self.system

    @property
    def resolved(self) -> bool:
        return self.resolved_at is not None


@dataclass(eq=False)
class Discussion:
    """The notes that share a discussion id, oldest first."""

    id: str
    notes: list[Note]

    @property
    def individual_note(self) -> bool:
        return all(note.type is None for note in self.notes)

    @property
    def resolvable(self) -> bool:
        return any(note.resolvable for note in self.notes)

    @property
    def resolved(self) -> bool:
        return self.resolvable and all(n.resolved for n in self.notes if n.resolvable)


@dataclass(eq=False)
class DraftNote:
    """A note that only its author sees until it is published."""

    id: int
    note: str
    author: User
    discussion_id: str | None = None
    resolve_discussion: bool = False
    position: Position | None = None
    line_code: str | None = None


@dataclass(eq=False)
class MergeRequest:
    """A merge request; `iid` counts in its target project."""

    id: int
    iid: int
    project: Project
    source_project: Project | None
    source_branch: str
    target_branch: str
    title: str
    description: str
    author: User
    created_at: datetime
    updated_at: datetime
    state: str = "opened"
    prepared_at: datetime | None = None
    discussion_locked: bool = False
    allow_collaboration: bool = False
    versions: list[DiffVersion] = field(default_factory=list)  # oldest first
    notes: list[Note] = field(default_factory=list)
    drafts: list[DraftNote] = field(default_factory=list)
    approved_by: list[User] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    assignees: list[User] = field(default_factory=list)
    reviewers: list[User] = field(default_factory=list)
    merged_at: datetime | None = None
    closed_at: datetime | None = None
    merge_commit_sha: str | None = None

    @property
    def project_id(self) -> int:
        return self.project.id

    @property
    def for_fork(self) -> bool:
        return self.source_project is not self.project

    @property
    def draft(self) -> bool:
        return bool(_DRAFT_TITLE.match(self.title))

    @property
    def web_url(self) -> str:
        return f"{self.project.web_url}/-/merge_requests/{self.iid}"

    @property
    def head_sha(self) -> str:
        return self.versions[-1].head_sha

    def shown_versions(self, now: datetime) -> list[DiffVersion]:
        """Versions that the API shows already, newest first."""
        return [version for version in reversed(self.versions) if version.visible_at <= now]

    def discussions(self) -> list[Discussion]:
        grouped: dict[str, Discussion] = {}
        for note in self.notes:
            grouped.setdefault(note.discussion_id, Discussion(note.discussion_id, []))
            grouped[note.discussion_id].notes.append(note)
        return list(grouped.values())

    def discussion(self, discussion_id: str) -> Discussion | None:
        return next((d for d in self.discussions() if d.id == discussion_id), None)


def without_draft(title: str) -> str:
    return _DRAFT_TITLE.sub("", title)


def new_discussion_id() -> str:
    return secrets.token_hex(20)
