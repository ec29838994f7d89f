"""What lists of changes hold, page by page. Made by `changes`; decided on by ingest's poller."""

from __future__ import annotations

from datetime import datetime

import msgspec

from libs.common.gitlab.models import Note


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """A group with all below it, a project by id or path, or with neither all the token sees."""

    group: str = ""
    project: str = ""

    def __str__(self) -> str:
        if self.group:
            return f"group {self.group}"
        return f"project {self.project}" if self.project else "all projects"


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """A merge request as a list shows it; `sha` may follow a push with a delay."""

    project_id: int
    iid: int
    state: str
    updated_at: datetime
    sha: str = ""
    draft: bool = False
    source_branch: str = ""
    target_branch: str = ""
    references: dict[str, str] = {}

    @property
    def project_path(self) -> str:
        """Empty when GitLab does not say it."""
        return self.references.get("full", "").rpartition("!")[0]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Merge requests, oldest change first; `at` is GitLab's time when it answered."""

    rows: tuple[Changed, ...]
    is_last: bool
    at: datetime | None = None


class NotesPage(msgspec.Struct, frozen=True, kw_only=True):
    """Notes, newest first."""

    rows: tuple[Note, ...]
    is_last: bool
