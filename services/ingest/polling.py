"""What the GitLab poller decides: where to look, since when, and what a row means. Pure.

Called by `poller`. Rows come oldest change first, and what changes while pages are read moves to
the end: so the next page is asked for by time, never by number, and nothing slips between two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from libs.common import subjects
from libs.common.events.envelope import Recorded
from libs.common.events.facts import MrClosed, MrOpened
from libs.common.gitlab.changed import Changed, Where
from libs.common.gitlab.models import Note
from services.ingest import body as read
from services.ingest import merge_requests, notes
from services.ingest.meaning import Ignored, Meaning, Translated
from services.ingest.notes import Agent

MOST_SINGLE = 20
"""Projects that are asked for one by one; of more, all that the token sees is one list."""
PUBLIC_HOST = "gitlab.com"
"""There that list would be the world's."""
TOUCH_INTERVAL = timedelta(seconds=65)
"""For so long after a change a new note does not move `updated_at` (GitLab's ThrottledTouch: one
minute), so a merge request is looked into until it has been quiet for that long."""
OLDEST_COMMAND = timedelta(hours=24)
TOLERANCE = timedelta(minutes=5)
"""Clocks differ; a watermark further ahead than this is wrong."""
MOST_TRIES = 5
"""Looks at one merge request that GitLab cannot show, before the watermark passes it."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator decided; times in seconds but for the first two."""

    look_back: timedelta = timedelta(hours=1)
    overlap: timedelta = timedelta(seconds=90)
    most: int = 500
    """Merge requests looked into, per look and place."""
    interval: float = 30.0


def places(projects: Iterable[str], groups: Iterable[str], host: str) -> list[Where]:
    """Where one look asks, each with one call when nothing changed."""
    found = [Where(group=group.strip("/")) for group in groups]
    single = [project.strip("/") for project in projects]
    if len(single) > MOST_SINGLE and host.lower() != PUBLIC_HOST:
        return [*found, Where()]
    return [*found, *(Where(project=project) for project in single)]


# --- since when -----------------------------------------------------------------------


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """How far one place is known, in GitLab's time.

    All merge requests that changed before `through` were looked into. All notes written before
    `complete` were seen: the start of the last look that reached the end.
    """

    through: datetime
    complete: datetime

    def later(self, other: Mark) -> Mark:
        """Both, never backwards."""
        return Mark(
            through=max(self.through, other.through), complete=max(self.complete, other.complete)
        )


def first_mark(now: datetime, rules: Rules) -> Mark:
    begin = now - rules.look_back
    return Mark(through=begin, complete=begin)


def is_ahead(mark: Mark, now: datetime) -> bool:
    """Whether the mark is from the future, where it would hide everything until then."""
    return max(mark.through, mark.complete) > now + TOLERANCE


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """The next page of a look."""

    since: datetime
    number: int = 1

    def after(self, rows: Sequence[Changed]) -> Cursor:
        """By the last row's time; by number only through rows that all changed at once."""
        last = max((row.updated_at for row in rows), default=self.since)
        if last > self.since:
            return Cursor(since=last)
        return Cursor(since=self.since, number=self.number + 1)


class Looked(msgspec.Struct):
    """Which merge requests were looked into, so that the overlap costs no calls.

    A help only: after a restart they are looked into again, and the log knows their events.
    """

    rows: dict[tuple[int, int], tuple[datetime, datetime]] = msgspec.field(default_factory=dict)
    """`updated_at`, and GitLab's time of the look."""
    tries: dict[tuple[int, int], int] = msgspec.field(default_factory=dict)

    def is_news(self, row: Changed) -> bool:
        """Whether it changed since, or was looked into too soon after its change."""
        updated_at, at = self.rows.get(_key(row), (None, None))
        return updated_at != row.updated_at or at is None or at < row.updated_at + TOUCH_INTERVAL

    def done(self, row: Changed, at: datetime) -> None:
        self.rows[_key(row)] = (row.updated_at, at)
        self.tries.pop(_key(row), None)

    def failed(self, row: Changed) -> bool:
        """Whether that was once too often, so that it must not hold up the others."""
        self.tries[_key(row)] = self.tries.get(_key(row), 0) + 1
        return self.tries[_key(row)] >= MOST_TRIES

    def forget_before(self, moment: datetime) -> None:
        self.rows = {key: seen for key, seen in self.rows.items() if seen[0] >= moment}


def _key(row: Changed) -> tuple[int, int]:
    return row.project_id, row.iid


# --- what a row means -----------------------------------------------------------------


def fact(row: Changed, last: Recorded | None) -> Translated | None:
    """The event that the log lacks; `last` is the newest `mr.*` event of the merge request.

    A row older than what the log has says nothing: it was read before that happened.
    """
    known = last.event if last is not None else None
    if not isinstance(known, MrOpened | MrClosed):
        known = None
    if known is not None and known.updated_at is not None and known.updated_at > row.updated_at:
        return None
    seq = last.seq if last is not None else 0
    if row.state == "opened":
        return _opened(row, known, seq)
    if row.state not in ("closed", "merged") or known is None:
        return None
    if isinstance(known, MrClosed) and known.state == row.state:
        return None
    return _closed(row, seq)


def _opened(row: Changed, known: MrOpened | MrClosed | None, seq: int) -> Translated | None:
    sha = read.sha(row.sha)
    if sha is None:
        return None
    target = read.text(row.target_branch)
    if isinstance(known, MrOpened):
        seen = (known.head_sha, known.draft, known.target_branch)
        if seen == (sha, row.draft, target):
            return None
    return Translated(
        event=MrOpened(
            project_id=row.project_id,
            iid=row.iid,
            head_sha=sha,
            why="poll",
            draft=row.draft,
            source_branch=read.text(row.source_branch),
            target_branch=target,
            updated_at=row.updated_at,
        ),
        subject=subjects.mr_opened(row.project_id, row.iid, sha),
        message_id=f"mr.opened-{row.project_id}-{row.iid}-{sha[:16]}-poll-{seq}",
        project_path=row.project_path,
        kind=merge_requests.KIND,
    )


def _closed(row: Changed, seq: int) -> Translated:
    state = "merged" if row.state == "merged" else "closed"
    return Translated(
        event=MrClosed(
            project_id=row.project_id,
            iid=row.iid,
            state=state,  # type: ignore[arg-type]  # one of the two
            updated_at=row.updated_at,
        ),
        subject=subjects.mr_closed(row.project_id, row.iid, state),
        message_id=f"mr.closed-{row.project_id}-{row.iid}-{state}-poll-{seq}",
        project_path=row.project_path,
        kind=merge_requests.KIND,
    )


def commands(
    row: Changed, found: Iterable[Note], agent: Agent, *, since: datetime, now: datetime
) -> list[Translated]:
    """The notes since then that are commands, oldest first, as their webhooks would say them."""
    oldest = max(since, now - OLDEST_COMMAND)
    recent = [note for note in found if note.created_at is not None and note.created_at >= oldest]
    recent.sort(key=lambda note: note.id)
    meanings = (_command(row, note, agent) for note in recent)
    return [meaning for meaning in meanings if not isinstance(meaning, Ignored)]


def _command(row: Changed, note: Note, agent: Agent) -> Meaning:
    """By the webhook's own rules, so that both see the same."""
    body = {
        "user": {"username": note.author_username},
        "project": {"id": row.project_id, "path_with_namespace": row.project_path},
        "merge_request": {"iid": row.iid},
        "object_attributes": {
            "id": note.id,
            "note": note.body,
            "noteable_type": "MergeRequest",
            "author_id": note.author_id,
            "system": note.system,
            "internal": note.internal,
            "created_at": _iso(note.created_at),
            "updated_at": _iso(note.updated_at),
        },
    }
    return notes.note(body, agent)


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
