"""What the coder touches: the log, GitLab to read, budgets, the clock. Built in `wiring`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from libs.common import asking
from libs.common.clock import Clock
from libs.common.events.log import EventLog
from libs.common.gitlab.agent import Agent
from libs.common.gitlab.models import Branch, Commit, Project, Version
from libs.common.serving import Policy
from libs.common.spending import Spending


class GitLab(asking.GitLab, Protocol):
    """What the coder asks GitLab; it never writes there."""

    async def project(self, project_id: int) -> Project: ...

    async def versions(self, project_id: int, iid: int) -> list[Version]: ...

    async def commits(self, project_id: int, iid: int) -> list[Commit]: ...

    async def branch(self, project_id: int, name: str) -> Branch | None: ...

    async def protected_branches(self, project_id: int) -> list[str]: ...


SOURCE = "coder"


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Everything a handler may touch; `agent` is whose notes are ours."""

    log: EventLog
    gitlab: GitLab
    agent: Agent
    spending: Spending
    clock: Clock
    policy: Policy
    wake: Callable[[str], None]
    """Tells the reconciler that something about this subject changed."""
    source: str = SOURCE
