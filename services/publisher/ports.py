"""What the publisher's handlers may touch; built in `wiring`, faked in tests."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from libs.common.clock import Clock
from libs.common.events.log import EventLog
from libs.common.gitlab.models import Discussion, DraftNote, MergeRequest, Note, User
from libs.common.reviewed import Reviewed
from services.publisher.firewall import Policy

PositionJson = dict[str, Any]
"""A position in the shape GitLab's API wants, from `libs.common.gitlab.positions`."""


class GitLab(Protocol):
    """The calls that publishing needs; refusals are `libs.common.gitlab.errors`."""

    async def current_user(self) -> User: ...

    async def merge_request(self, project_id: int, iid: int) -> MergeRequest: ...

    async def discussions(self, project_id: int, iid: int) -> list[Discussion]: ...

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


class Leases(Protocol):
    """Exclusion between replicas; raises `Temporary` when somebody else holds the key."""

    def held(self, key: str, *, ttl: int) -> AbstractAsyncContextManager[object]: ...


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Everything a handler may touch."""

    log: EventLog
    gitlab: GitLab
    leases: Leases
    reviewed: Reviewed
    clock: Clock
    policy: Policy
    lease_seconds: int = 30
    """How long the lease of a publisher that died keeps others away."""

    def alone(self, project_id: int, iid: int) -> AbstractAsyncContextManager[object]:
        """The merge request's lease: one publisher at a time writes to it."""
        return self.leases.held(f"publish.{project_id}.{iid}", ttl=self.lease_seconds)
