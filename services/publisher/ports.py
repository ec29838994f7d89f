"""What the publisher's handlers may touch; built in `wiring`, faked in tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from libs.common.clock import Clock
from libs.common.events.log import EventLog
from libs.common.events.tasks import Artifact, TaskRequested
from libs.common.git.change import Pushed, PushOrder
from libs.common.gitlab.models import (
    Award,
    Discussion,
    DraftNote,
    MergeRequest,
    Note,
    Project,
    User,
)
from libs.common.jira.models import Comment
from libs.common.jira.models import User as JiraUser
from libs.common.reviewed import Reviewed
from services.publisher.fencing import fenced
from services.publisher.firewall import Policy
from services.publisher.patches import PatchPolicy
from services.publisher.rules import Rules

_PATIENCE = 3.0
"""Seconds to wait for a lease: start and end of a quick answer come at the same time."""
PositionJson = dict[str, Any]
"""A position in the shape GitLab's API wants, from `libs.common.gitlab.positions`."""


class GitLab(Protocol):
    """The calls that publishing needs; refusals are `libs.common.gitlab.errors`."""

    async def current_user(self) -> User: ...

    async def project(self, project_id: int) -> Project: ...

    async def file(self, project_id: int, path: str, ref: str) -> bytes | None: ...

    async def merge_request(self, project_id: int, iid: int) -> MergeRequest: ...

    async def merge_requests_from(
        self, project_id: int, source_branch: str
    ) -> list[MergeRequest]: ...

    async def create_merge_request(
        self,
        project_id: int,
        *,
        source_branch: str,
        target_branch: str,
        title: str,
        description: str,
    ) -> MergeRequest: ...

    async def discussions(self, project_id: int, iid: int) -> list[Discussion]: ...

    async def discussion(self, project_id: int, iid: int, discussion_id: str) -> Discussion: ...

    async def reply(self, project_id: int, iid: int, discussion_id: str, body: str) -> Note: ...

    async def awards(self, project_id: int, iid: int, note_id: int) -> list[Award]: ...

    async def award(self, project_id: int, iid: int, note_id: int, name: str) -> Award | None: ...

    async def remove_award(
        self, project_id: int, iid: int, note_id: int, award_id: int
    ) -> None: ...

    async def create_note(self, project_id: int, iid: int, body: str) -> Note: ...

    async def update_note(self, project_id: int, iid: int, note_id: int, body: str) -> Note: ...

    async def create_discussion(
        self, project_id: int, iid: int, body: str, position: PositionJson | None
    ) -> Discussion: ...

    async def draft_notes(self, project_id: int, iid: int) -> list[DraftNote]: ...

    async def create_draft_note(
        self, project_id: int, iid: int, body: str, position: PositionJson | None
    ) -> DraftNote: ...

    async def delete_draft_note(self, project_id: int, iid: int, draft_id: int) -> None: ...

    async def publish_drafts(self, project_id: int, iid: int) -> None: ...


class Jira(Protocol):
    """What an issue is told; refusals are `libs.common.jira.errors`."""

    async def current_user(self) -> JiraUser: ...

    async def comments(self, issue_key: str) -> list[Comment]: ...

    async def add_comment(self, issue_key: str, document: dict[str, Any]) -> Comment: ...

    async def transition(
        self, issue_key: str, status: str, *, only_from: Collection[str] = ()
    ) -> bool: ...


class Repository(Protocol):
    """Commits on branches, with the token that may write; refusals are of `libs.common.git`."""

    async def push(
        self, order: PushOrder, policy: PatchPolicy, check: Callable[[], None]
    ) -> Pushed:
        """`check` raises when nothing may be written any more; asked last before the push."""
        ...

    async def pushed(self, order: PushOrder) -> Pushed | None:
        """The task's commit, if it is on the branch already."""
        ...


class Artifacts(Protocol):
    """Bodies that were too large for the log; `Permanent` when one is gone or another."""

    async def get(self, wanted: Artifact) -> bytes: ...


class Lease(Protocol):
    """A held lease; `check` raises `Temporary` once it is lost."""

    def check(self) -> None: ...


class Leases(Protocol):
    """Exclusion between replicas; raises `Temporary` when somebody else holds the key."""

    def held(self, key: str, *, ttl: int, wait: float) -> AbstractAsyncContextManager[Lease]: ...


def _always() -> None:
    """For ports that no lease is needed for."""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Everything a handler may touch."""

    log: EventLog
    gitlab: GitLab
    jira: Jira | None
    """None where no Jira is set up."""
    repository: Repository
    artifacts: Artifacts
    leases: Leases
    reviewed: Reviewed
    clock: Clock
    policy: Policy
    rules: Rules
    lease_seconds: int = 30
    """How long the lease of a publisher that died keeps others away."""
    check: Callable[[], None] = _always
    """Raises `Temporary` when nothing may be written any more."""

    def alone(self, request: TaskRequested) -> AbstractAsyncContextManager[Ports]:
        """The lease of the merge request or issue: one publisher at a time writes to it.

        For the block it gives ports that end with the lease: each call to GitLab and Jira, and
        each push, asks first whether it is still held. A process that was paused wakes up between
        any two of them.
        """
        return self.alone_at(request.scope, request.ref)

    @asynccontextmanager
    async def alone_at(self, scope: str, ref: str) -> AsyncIterator[Ports]:
        """The same where there is no request."""
        key = f"publish.{scope}.{ref}"
        async with self.leases.held(key, ttl=self.lease_seconds, wait=_PATIENCE) as lease:
            yield replace(
                self,
                gitlab=fenced(self.gitlab, lease.check),
                repository=fenced(self.repository, lease.check),
                jira=fenced(self.jira, lease.check) if self.jira is not None else None,
                check=lease.check,
            )
