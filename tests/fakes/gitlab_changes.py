"""GitLab in memory as ingest's poller sees it: what changed since, a page at a time.

A note touches its merge request at most once a minute, as in GitLab (ThrottledTouch).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from libs.common.errors import AgentError
from libs.common.gitlab.changed import Changed, NotesPage, Page, Where
from libs.common.gitlab.errors import NotFound
from libs.common.gitlab.models import Note, User
from tests.fakes.clock import FakeClock
from tests.fakes.gitlab_projects import ALICE

PER_PAGE = 100


class FakeChanges:
    """Each call is in `calls`; `before_page` is run with its number before a page is made.

    `fail` says what a call of that text raises, each error once; `projects` are paths by id.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.ahead = timedelta()
        """How far GitLab's clock is ahead of ours."""
        self.projects = {42: "shop/app"}
        self.rows: dict[tuple[int, int], Changed] = {}
        self.notes: dict[tuple[int, int], list[Note]] = {}
        self.calls: list[str] = []
        self.fail: dict[str, list[AgentError]] = {}
        self.before_page: Callable[[int], None] = lambda _: None
        self._pages = 0
        self._last_id = 500

    # --- what people and tests do ---------------------------------------------------

    def now(self) -> datetime:
        return self.clock.now() + self.ahead

    def open(self, iid: int = 7, sha: str = "a" * 40, project_id: int = 42, **fields: Any) -> None:
        known: dict[str, Any] = {
            "state": "opened",
            "updated_at": self.now(),
            "sha": sha,
            "source_branch": "topic",
            "target_branch": "main",
            "references": {"full": f"{self.projects[project_id]}!{iid}"},
        }
        self.rows[project_id, iid] = Changed(
            **({"project_id": project_id, "iid": iid} | known | fields)
        )

    def change(self, iid: int = 7, project_id: int = 42, **fields: Any) -> None:
        row, fields = self.rows[project_id, iid], {"updated_at": self.now()} | fields
        self.rows[project_id, iid] = msgspec.structs.replace(row, **fields)

    def comment(
        self, text: str, iid: int = 7, author: User = ALICE, project_id: int = 42, **fields: Any
    ) -> int:
        self._last_id += 1
        now = self.now()
        known: dict[str, Any] = {
            "body": text,
            "author_id": author.id,
            "author_username": author.username,
            "created_at": now,
            "updated_at": now,
        }
        note = Note(**({"id": self._last_id} | known | fields))
        self.notes.setdefault((project_id, iid), []).insert(0, note)
        if now - self.rows[project_id, iid].updated_at > timedelta(minutes=1):
            self.change(iid, project_id)
        return note.id

    # --- the port -------------------------------------------------------------------

    async def changed(self, where: Where, updated_after: datetime, page: int = 1) -> Page:
        self._called(f"changed {where}")
        self._pages += 1
        self.before_page(self._pages)
        found = [row for row in self.rows.values() if row.updated_at >= updated_after]
        found = [row for row in found if self._is_in(where, row)]
        found.sort(key=lambda row: (row.updated_at, row.project_id, row.iid))
        first = (page - 1) * PER_PAGE
        rows = tuple(found[first : first + PER_PAGE])
        # An HTTP date has whole seconds.
        at = self.now().replace(microsecond=0)
        return Page(rows=rows, is_last=first + PER_PAGE >= len(found), at=at)

    async def newest_notes(self, project_id: int, iid: int, page: int = 1) -> NotesPage:
        self._called(f"notes {project_id}!{iid}")
        if (project_id, iid) not in self.rows:
            raise NotFound("GitLab answered 404: 404 Not found", status=404)
        found = self.notes.get((project_id, iid), [])
        first = (page - 1) * PER_PAGE
        rows = tuple(found[first : first + PER_PAGE])
        return NotesPage(rows=rows, is_last=first + PER_PAGE >= len(found))

    def _is_in(self, where: Where, row: Changed) -> bool:
        path = self.projects[row.project_id]
        if where.group:
            return path.startswith(f"{where.group}/")
        return where.project in ("", path, str(row.project_id))

    def _called(self, call: str) -> None:
        self.calls.append(call)
        if self.fail.get(call):
            raise self.fail[call].pop(0)
