"""What changed in GitLab since a moment, page by page. Part of `client`; ingest's poller asks.

One page is one request: whoever asks decides how many there are.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

import gitlab
import msgspec
import requests

from libs.common.gitlab.backend import StrangeAnswer
from libs.common.gitlab.changed import Changed, NotesPage, Page, Where
from libs.common.gitlab.connection import PER_PAGE, Connection, quoted
from libs.common.gitlab.merge_requests import mr_path
from libs.common.gitlab.models import Note, read

T = TypeVar("T")


class Changes(Connection):
    """The calls that find what is new."""

    async def changed(self, where: Where, updated_after: datetime, page: int = 1) -> Page:
        """Merge requests in every state that changed at that moment or later."""
        asked = {
            "scope": "all",
            "state": "all",
            "updated_after": _iso(updated_after),
            "order_by": "updated_at",
            "sort": "asc",
            "per_page": PER_PAGE,
            "page": page,
        }
        return await self._read(
            lambda vendor: _changed(vendor, f"{_path(where)}?{urlencode(asked)}")
        )

    async def newest_notes(self, project_id: int, iid: int, page: int = 1) -> NotesPage:
        asked = {"sort": "desc", "order_by": "created_at", "per_page": PER_PAGE, "page": page}
        path = f"{mr_path(project_id, iid, 'notes')}?{urlencode(asked)}"
        return await self._read(lambda vendor: _notes(vendor, path))


def _path(where: Where) -> str:
    if where.group:
        return f"/groups/{quoted(where.group)}/merge_requests"
    return (
        f"/projects/{quoted(where.project)}/merge_requests" if where.project else "/merge_requests"
    )


def _changed(vendor: gitlab.Gitlab, path: str) -> Page:
    answer = vendor.http_request("get", path)
    rows, is_last = _rows(answer, Changed)
    return Page(rows=rows, is_last=is_last, at=_date(answer))


def _notes(vendor: gitlab.Gitlab, path: str) -> NotesPage:
    rows, is_last = _rows(vendor.http_request("get", path), Note)
    return NotesPage(rows=rows, is_last=is_last)


def _rows(answer: requests.Response, kind: type[T]) -> tuple[tuple[T, ...], bool]:
    """What can be read of a page: one odd entry must not hide the others for ever."""
    raw = answer.json()
    if not isinstance(raw, list):
        raise StrangeAnswer("not a list")
    found = [row for each in raw if (row := _readable(kind, each)) is not None]
    if raw and not found:
        raise StrangeAnswer("a list of something else")
    # A page may be short though more follow, so only the header tells.
    following = answer.headers.get("X-Next-Page")
    return tuple(found), len(raw) < PER_PAGE if following is None else not following


def _readable(kind: type[T], raw: Any) -> T | None:
    try:
        return read(kind, raw)
    except msgspec.ValidationError:
        return None


def _date(answer: requests.Response) -> datetime | None:
    try:
        return parsedate_to_datetime(answer.headers.get("Date", "")).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None


def _iso(moment: datetime) -> str:
    # GitLab keeps microseconds and shows milliseconds; cutting only asks for more.
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
