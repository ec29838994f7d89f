"""What the reviewer's handlers touch and are told; filled by `wiring`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from libs.common.access import Levels
from libs.common.allowed import Allowed
from libs.common.clock import Clock
from libs.common.events.log import EventLog
from libs.common.events.tasks import Limits
from libs.common.gitlab.models import (
    Commit,
    Discussion,
    Member,
    MergeRequest,
    Project,
    User,
    Version,
)
from libs.common.reviewed import Reviewed

SOURCE = "reviewer"


class MergeRequests(Protocol):
    """What the reviewer asks GitLab."""

    async def merge_request(self, project_id: int, iid: int) -> MergeRequest: ...

    async def versions(self, project_id: int, iid: int) -> list[Version]: ...

    async def commits(self, project_id: int, iid: int) -> list[Commit]: ...

    async def project(self, project_id: int) -> Project: ...

    async def discussion(self, project_id: int, iid: int, discussion_id: str) -> Discussion: ...

    async def discussions(self, project_id: int, iid: int) -> list[Discussion]: ...

    async def member(self, project_id: int, user_id: int) -> Member | None: ...

    async def user(self, user_id: int) -> User: ...


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The operator's settings that a decision needs."""

    gitlab_url: str
    limits: Limits
    projects: Allowed
    review_drafts: bool = False
    allow_http: bool = False
    levels: Levels = field(default_factory=Levels)


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Everything a handler may touch."""

    log: EventLog
    gitlab: MergeRequests
    agent: Callable[[], Awaitable[User]]
    """Who we are in GitLab."""
    reviewed: Reviewed
    clock: Clock
    policy: Policy
    wake: Callable[[str], None]
    """Tells the reconciler that something about this subject changed."""
