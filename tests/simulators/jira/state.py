"""The records of the simulated server, its settings, and what it does to them.

Made by `simulator` and `control`, shown by `views` and `page`.
"""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.simulators.gitlab.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

Body = dict[str, Any] | str | None
"""A document on Cloud, wiki markup on Data Center."""


@dataclass
class Settings:
    """What a test or operator may turn. Times are in seconds."""

    data_center: bool = False
    search_lag: float = 0.0  # the search sees issues as they were so long ago
    page_cap: int = 5000  # Cloud may return fewer issues a page than asked for
    repeat_page: bool = False  # a broken proxy: the same page and token for ever
    token_life: float = 7 * 24 * 3600.0
    conflicts: int = 0  # so many transitions are refused as concurrent changes
    comments_per_issue: int = 5000
    burst_limit: int | None = None  # requests of one endpoint and method within the window
    issue_write_limit: int | None = None  # writes to one issue within the window
    window: float = 10.0
    retry_delay: float = 0.0  # between two deliveries of a webhook


@dataclass
class User:
    """An account, with its ids on Cloud and on Data Center."""

    account_id: str
    name: str
    display_name: str
    email: str
    api_token: str = field(default_factory=lambda: f"ATATT3{secrets.token_urlsafe(24)}")
    bearer_token: str = field(default_factory=lambda: secrets.token_urlsafe(24))


@dataclass(frozen=True)
class Status:
    """A status; ids are the instance's, not the workflow's."""

    id: str
    name: str
    category: str = "indeterminate"


@dataclass(frozen=True)
class Way:
    """A transition; `source` None is a way from everywhere. Ids are the workflow's own (J6)."""

    id: str
    name: str
    target: str
    source: str | None = None
    screen: bool = False
    required: tuple[str, ...] = ()


@dataclass
class Workflow:
    """Statuses and the ways between them."""

    statuses: tuple[Status, ...]
    ways: tuple[Way, ...]

    def status(self, name: str) -> Status:
        return next(s for s in self.statuses if s.name.casefold() == name.casefold())

    def ways_from(self, status: Status) -> list[Way]:
        return [way for way in self.ways if way.source in {None, status.name}]


STATUSES = (
    Status("10000", "To Do", "new"),
    Status("10001", "AI Ready", "new"),
    Status("10002", "In Progress"),
    Status("10003", "In Review"),
    Status("10004", "Done", "done"),
)


def default_workflow(first_id: int = 11) -> Workflow:
    """Every status from everywhere, as a team-managed board has it."""
    ways = (Way(str(first_id + 10 * n), s.name, s.name) for n, s in enumerate(STATUSES))
    return Workflow(STATUSES, tuple(ways))


@dataclass
class Project:
    """A project; `hidden` from everybody but its people."""

    id: str
    key: str
    name: str
    workflow: Workflow
    hidden: bool = False
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))


@dataclass
class Change:
    """An entry of the history; `author` None when Jira does not say who it was."""

    id: str
    author: User | None
    created: datetime
    items: list[dict[str, Any]]


@dataclass
class Comment:
    """A comment; `visibility` names the role that may see it."""

    id: str
    author: User
    body: Body
    created: datetime
    visibility: str | None = None


@dataclass
class Issue:
    """An issue with its whole history."""

    id: str
    key: str
    project: Project
    summary: str
    description: Body
    status: Status
    creator: User
    created: datetime
    updated: datetime
    issue_type: str = "Task"
    labels: list[str] = field(default_factory=list)
    security: str | None = None
    changes: list[Change] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)

    def status_at(self, moment: datetime) -> Status | None:
        """The status as it was then; None before the issue existed."""
        if moment < self.created:
            return None
        later = [c for c in self.changes if c.created > moment]
        for change in later:
            for item in change.items:
                if item["fieldId"] == "status":
                    return Status(item["from"], item["fromString"])
        return self.status


class World:
    """The whole server: its tables, its clock, its settings."""

    def __init__(self, *, data_center: bool) -> None:
        self.settings = Settings(data_center=data_center)
        self.clock = Clock()
        self.url = ""
        self.users: list[User] = []
        self.projects: dict[str, Project] = {}
        self.issues: dict[str, Issue] = {}
        self.changed: Callable[[str, Issue, User | None, Change | None], None] = lambda *_: None
        self._ids = itertools.count(10_001)

    def next_id(self) -> str:
        return str(next(self._ids))

    def now(self) -> datetime:
        """Return the time in milliseconds, as Jira keeps it."""
        now = self.clock.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def add_user(self, name: str, display_name: str = "", **tokens: str) -> User:
        account = f"712020:{name}-{secrets.token_hex(6)}"
        shown = display_name or name.title()
        user = User(account, name, shown, f"{name}@example.com", **tokens)
        self.users.append(user)
        return user

    def record(self, issue: Issue, author: User | None, **item: Any) -> Change:
        """Write a change of one field into the history."""
        issue.updated = self.now()
        entry = {"fieldtype": "jira", **item}
        change = Change(self.next_id(), author, issue.updated, [entry])
        issue.changes.append(change)
        self.changed("jira:issue_updated", issue, author, change)
        return change

    def move(self, issue: Issue, target: Status, author: User | None) -> Change:
        before, issue.status = issue.status, target
        ids = {"from": before.id, "fromString": before.name}
        ids |= {"to": target.id, "toString": target.name}
        return self.record(issue, author, field="status", fieldId="status", **ids)

    def comment(
        self, issue: Issue, body: Body, author: User, visibility: str | None = None
    ) -> Comment:
        issue.updated = self.now()
        made = Comment(self.next_id(), author, body, issue.updated, visibility)
        issue.comments.append(made)
        self.changed("comment_created", issue, author, None)
        return made

    def seen_by_search(self) -> datetime:
        return self.now() - timedelta(seconds=self.settings.search_lag)
