"""What the reviewer's handlers touch and are told; filled by `wiring`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from libs.common import serving
from libs.common.clock import Clock
from libs.common.events.log import EventLog
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
from libs.common.spending import Spending

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
class Policy(serving.Policy):
    """The operator's settings that a decision needs."""

    review_drafts: bool = False


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Everything a handler may touch."""

    log: EventLog
    gitlab: MergeRequests
    agent: Callable[[], Awaitable[User]]
    """Who we are in GitLab."""
    reviewed: Reviewed
    spending: Spending
    clock: Clock
    policy: Policy
    wake: Callable[[str], None]
    """Tells the reconciler that something about this subject changed."""
    source: str = SOURCE
