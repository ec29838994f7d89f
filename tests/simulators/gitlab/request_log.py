"""Every API and git request that came in, to count calls and read what failed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime


@dataclass
class LoggedRequest:
    """One request. `path` is as sent, still encoded; `status` 0 means the connection was cut."""

    method: str
    path: str
    query: dict[str, str]
    started: datetime
    user: str = ""
    status: int = 0
    seconds: float = 0.0

    def shown(self) -> dict[str, Any]:
        return {**vars(self), "started": self.started.isoformat()}


@dataclass
class RequestLog:
    """A list with a few questions that tests ask."""

    entries: list[LoggedRequest] = field(default_factory=list)

    def matching(self, method: str, path: str) -> list[LoggedRequest]:
        """Return the requests of a method ("" for any) whose path matches the regex."""
        return [
            entry
            for entry in self.entries
            if method in {"", entry.method} and re.search(path, entry.path)
        ]
