"""Looks at GitLab at intervals, and logs what no webhook told: heads, ends and commands.

`run` is one of the service's loops with GITLAB_POLL. One replica polls, by lease; a GitLab that is
away or refuses us ends nothing. What a look costs, in calls of GitLab's API:

    groups + projects + floor(R / 100) + M

`projects` is the number of GITLAB_PROJECTS, or 1 where they are more than 20 (not on gitlab.com).
R are the merge requests that changed since the last look or within GITLAB_POLL_OVERLAP before it.
M are those of them that changed since they were looked into, or that were looked into less than
65 s after their change. Open merge requests that rest cost nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Protocol

import msgspec
import structlog

from libs.common import metrics, telemetry
from libs.common.allowed import Allowed
from libs.common.clock import Clock
from libs.common.errors import AgentError, Temporary
from libs.common.events.envelope import NewEvent, Recorded
from libs.common.events.facts import NoteCommand
from libs.common.events.log import Appended, Created
from libs.common.gitlab.changed import Changed, NotesPage, Page, Where
from libs.common.gitlab.errors import (
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from libs.common.gitlab.models import Note
from services.ingest import polling
from services.ingest.hook_watch import HookWatch
from services.ingest.leased_polling import Lease, Leases, Peer, Said, looked, poll
from services.ingest.meaning import Translated
from services.ingest.notes import Agent
from services.ingest.polling import Cursor, Looked, Mark, Rules
from services.ingest.watermarks import Watermarks

log = structlog.get_logger()
SOURCE = "ingest/gitlab"
LEASE = "poll.gitlab"
MOST_PAGES = 200
"""Of merge requests, per look and place."""
MOST_NOTE_PAGES = 20
PEER = Peer(name="GitLab", metric="gitlab_polls", unauthorized=Unauthorized, limited=RateLimited)
MOST_SICK = 3
"""Places or merge requests that GitLab may fail to show before the rest waits."""


class GitLab(Protocol):
    """The calls of GitLab that the poller makes."""

    async def changed(self, where: Where, updated_after: datetime, page: int = 1) -> Page: ...

    async def newest_notes(self, project_id: int, iid: int, page: int = 1) -> NotesPage: ...


class Log(Protocol):
    """The calls of the event log that the poller makes."""

    async def append(self, new: NewEvent) -> Appended: ...

    async def create(self, new: NewEvent) -> Created: ...

    async def history(self, *filters: str) -> list[Recorded]: ...


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """What the poller works with; `agent` is who we are in GitLab, as far as it is known."""

    gitlab: GitLab
    log: Log
    leases: Leases
    marks: Watermarks
    hooks: HookWatch
    clock: Clock
    agent: Callable[[], Agent]


class Look(msgspec.Struct):
    """One look at one place, under way."""

    where: Where
    mark: Mark
    is_right: Callable[[], bool]
    """Whether it may go on: the lease is held, the service is not stopping."""
    begun: datetime | None = None
    looked_into: int = 0
    sick: list[str] = msgspec.field(default_factory=list)
    held: datetime | None = None
    """Change of the first merge request that was not seen; the mark stays before it."""

    def passed(self, row: Changed, at: datetime) -> None:
        """Not past the begin: what changed since is looked into again until it is quiet."""
        if self.held is None:
            through = min(row.updated_at, self.begun or at)
            self.mark = self.mark.later(Mark(through=through, complete=self.mark.complete))

    def hold(self, row: Changed) -> None:
        self.held = self.held or row.updated_at

    def ended(self) -> None:
        """Everything was listed; without a gap it is known up to the begin of the look."""
        if self.held is None and self.begun is not None:
            self.mark = self.mark.later(Mark(through=self.begun, complete=self.begun))


class GitLabPoller:
    """Looks at all `places` every interval; `trouble` is a detail of `readyz`."""

    def __init__(
        self, ports: Ports, rules: Rules, places: Iterable[Where], allowed: Allowed
    ) -> None:
        self.said = Said("gitlab")
        self.is_behind = False
        self._ports = ports
        self._rules = rules
        self._places = deque(places)
        self._allowed = allowed
        self._looked = Looked()

    async def trouble(self) -> str | None:
        """What only an operator can mend."""
        return self.said.to_mend

    async def run(self, stopping: asyncio.Event) -> None:
        """Wait for the lease and poll under it, until `stopping`."""
        leases, interval = self._ports.leases, self._rules.interval
        await poll(self, leases, LEASE, interval=interval, stopping=stopping)

    async def cycle(self, lease: Lease, stopping: asyncio.Event) -> AgentError | None:
        """One look at every place; what went wrong is said, counted and returned."""

        def is_right() -> bool:
            return lease.valid() and not stopping.is_set()

        return await looked(self._look(is_right), PEER, self.said)

    async def _look(self, is_right: Callable[[], bool]) -> list[str]:
        problems = await self._look_everywhere(is_right)
        await self._ports.hooks.judge()
        return problems

    async def _look_everywhere(self, is_right: Callable[[], bool]) -> list[str]:
        """Problems of single places; one that is refused or sick does not stop the others."""
        if not self._ports.agent().user_id:
            raise Temporary("the agent's account in GitLab is not known yet")
        self.is_behind, problems, sick = False, [], 0
        for _ in range(len(self._places)):
            if not is_right():
                break
            where = self._places[0]
            # The next look begins where this one ends, so that no place is always the last.
            self._places.rotate(-1)
            try:
                problems += await self._look_at_place(where, is_right)
            except (NotFound, Forbidden, Invalid) as error:
                problems.append(f"{where}: {error}")
            except (Unavailable, TimedOut) as error:
                sick += 1
                if sick >= MOST_SICK or len(self._places) == 1:
                    raise
                problems.append(f"{where}: {error}")
        return problems

    async def _look_at_place(self, where: Where, is_right: Callable[[], bool]) -> list[str]:
        known = await self._ports.marks.read(where)
        mark = known or polling.first_mark(self._ports.clock.now(), self._rules)
        look = Look(where, mark, is_right)
        try:
            if await self._pages(look):
                look.ended()
            elif is_right():
                self.is_behind = True
        finally:
            # Only now: all events of what was passed are in the log.
            if look.mark != known:
                await self._ports.marks.advance(where, look.mark)
        self._looked.forget_before(look.mark.through - 2 * self._rules.overlap)
        return look.sick

    async def _pages(self, look: Look) -> bool:
        """Whether the end of the list was reached."""
        cursor = Cursor(since=look.mark.through - self._rules.overlap)
        for _ in range(MOST_PAGES):
            if not look.is_right():
                return False
            page = await self._ports.gitlab.changed(look.where, cursor.since, cursor.number)
            at = page.at or self._ports.clock.now()
            if look.begun is None:
                look.begun = at
                if polling.is_ahead(look.mark, at):
                    await self._correct(look, at)
                    cursor = Cursor(since=look.mark.through)
                    continue
            if not await self._rows(look, page.rows, at):
                return False
            if page.is_last:
                return True
            cursor = cursor.after(page.rows)
        return False

    async def _correct(self, look: Look, now: datetime) -> None:
        right = polling.first_mark(now, self._rules)
        log.warning(
            "a watermark was from the future and is set back",
            place=str(look.where),
            through=look.mark.through.isoformat(),
            now=now.isoformat(),
        )
        await self._ports.marks.correct(look.where, look.mark, right)
        look.mark = right

    async def _rows(self, look: Look, rows: Iterable[Changed], at: datetime) -> bool:
        """Whether all were dealt with; not so when this look has done enough."""
        for row in rows:
            if self._allowed.serves(row.project_id, row.project_path) and self._looked.is_news(row):
                if look.looked_into >= self._rules.most or not look.is_right():
                    return False
                look.looked_into += 1
                await self._look_into(look, row, at)
            look.passed(row, at)
        return True

    async def _look_into(self, look: Look, row: Changed, at: datetime) -> None:
        """Log what is new; a merge request that GitLab cannot show is for the next look."""
        about = {"gca.project_id": row.project_id, "gca.iid": row.iid}
        with telemetry.span("gitlab merge request", parent="", attributes=about):
            try:
                await self._log_news(look, row)
            except (NotFound, Forbidden, Invalid) as error:
                log.info("merge request cannot be read", **_place(row), reason=str(error))
            except (Unavailable, TimedOut) as error:
                if not self._looked.failed(row):
                    look.hold(row)
                    look.sick.append(f"{row.project_id}!{row.iid}: {error}")
                    if len(look.sick) >= MOST_SICK:
                        raise
                    return
                log.warning("merge request passed over", **_place(row), reason=str(error))
        self._looked.done(row, at)

    async def _log_news(self, look: Look, row: Changed) -> None:
        history = await self._ports.log.history(f"mr.*.{row.project_id}.{row.iid}.>")
        found = polling.fact(row, history[-1] if history else None)
        if found is not None:
            appended = await self._ports.log.append(self._new(found))
            self._told(found, row.updated_at, first=not appended.duplicate)
        since = look.mark.complete - self._rules.overlap
        agent, now = self._ports.agent(), self._ports.clock.now()
        notes = await self._notes_since(row, since)
        for asked in polling.commands(row, notes, agent, since=since, now=now):
            created = await self._ports.log.create(self._new(asked))
            assert isinstance(asked.event, NoteCommand)  # noqa: S101  # `commands` makes no others
            self._told(asked, asked.event.created_at, first=created.first)

    async def _notes_since(self, row: Changed, since: datetime) -> list[Note]:
        found: list[Note] = []
        for number in range(1, MOST_NOTE_PAGES + 1):
            page = await self._ports.gitlab.newest_notes(row.project_id, row.iid, number)
            found += page.rows
            oldest = min((note.created_at for note in page.rows if note.created_at), default=None)
            if page.is_last or (oldest is not None and oldest < since):
                break
        return found

    def _new(self, found: Translated) -> NewEvent:
        return NewEvent(
            subject=found.subject,
            event=found.event,
            message_id=found.message_id,
            source=SOURCE,
            time=self._ports.clock.now(),
            traceparent=telemetry.current(),
        )

    def _told(self, found: Translated, happened: datetime, *, first: bool) -> None:
        kind = ".".join(found.subject.split(".")[:2])
        metrics.count("gitlab_polled", event=kind, outcome="new" if first else "known")
        if first:
            log.info("found by polling", event_id=found.message_id, subject=found.subject)
            self._ports.hooks.found(found, happened)


def _place(row: Changed) -> dict[str, int]:
    return {"project_id": row.project_id, "iid": row.iid}
