"""The whole simulated server in one object: its records, its clock, its settings.

Made by `simulator`; handed to every function that reads or changes something.
"""

from __future__ import annotations

import itertools
import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .clock import Clock
from .settings import ServerSettings
from .state import Token, User

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from .diffs import FileDiff
    from .state import DiffVersion, Hook, MergeRequest, Project
    from .webhooks import Webhooks


@dataclass(frozen=True)
class ExecutedCommand:
    """A quick action that ran, with whose rights: the proof for or against the output firewall."""

    project_id: int
    iid: int
    username: str
    command: str
    argument: str


@dataclass
class World:
    """The whole server: its tables, its clock, its settings."""

    folder: Path
    url: str = ""
    settings: ServerSettings = field(default_factory=ServerSettings)
    clock: Clock = field(default_factory=Clock)
    users: dict[int, User] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    projects: dict[int, Project] = field(default_factory=dict)
    system_hooks: list[Hook] = field(default_factory=list)
    executed_commands: list[ExecutedCommand] = field(default_factory=list)
    note_posts: dict[int, deque[datetime]] = field(default_factory=dict)
    webhooks: Webhooks = field(init=False)
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1001))

    def next_id(self) -> int:
        """Return an id that no other record has, so that ids and iids cannot be mixed up."""
        return next(self._ids)

    @property
    def external_url(self) -> str:
        return (self.settings.external_url or self.url).rstrip("/")

    def add_user(self, username: str, *, name: str = "", bot: bool = False) -> User:
        user = User(len(self.users) + 1, username, name or username.title(), bot=bot)
        self.users[user.id] = user
        return user

    def add_token(self, user: User, scopes: set[str], *, value: str = "", kind: str = "") -> Token:
        token = Token(
            value=value or f"glpat-{secrets.token_urlsafe(15)}",
            user=user,
            scopes=frozenset(scopes),
            kind=kind or "personal",
            created_at=self.clock.now(),
        )
        self.tokens[token.value] = token
        return token

    def project_by_path(self, path: str) -> Project | None:
        wanted = path.lower()
        found = (p for p in self.projects.values() if p.path_with_namespace.lower() == wanted)
        return next(found, None)

    def diff(self, merge_request: MergeRequest, version: DiffVersion) -> list[FileDiff]:
        repository = merge_request.project.repository
        return repository.diff(version.base_sha, version.head_sha)
