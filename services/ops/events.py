"""`gca events PROJECT!IID`, `gca events PROJ-123`: the whole chain, and why it is where it is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from libs.common import subjects
from libs.common.errors import AgentError
from libs.common.events.envelope import Recorded
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.follow import follow
from libs.common.jetstream.inspection import chain
from services.ops import history
from services.ops.doctor.situation import Situation
from services.ops.live import Live
from services.ops.opened import opened_log
from services.ops.seen import gather, gather_issue
from services.ops.terminal import Terminal
from services.ops.why.answer import Why
from services.ops.why.command import why_command, why_issue
from services.ops.why.evidence import Seen
from services.ops.why.review import why_review

LOOK_SECONDS = 2.0


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked about: a merge request, by its project's id or path, or an issue in Jira."""

    scope: str
    number: int
    is_issue: bool = False


def parse(text: str) -> About:
    """`42!7`, `group/app!7` or `PROJ-123`; raises `AgentError`."""
    issue = re.fullmatch(r"([A-Z][A-Z0-9_]*)-([1-9][0-9]{0,9})", text)
    if issue is not None:
        return About(scope=issue[1], number=int(issue[2]), is_issue=True)
    match = re.fullmatch(r"(\w[\w.-]*(?:/\w[\w.-]*)*)!([0-9]+)", text)
    if match is None or not (match[1].isdecimal() or "/" in match[1]):
        raise AgentError(
            f"{text[:60]!r} is not a merge request; write PROJECT!IID, such as 42!7 or group/app!7;"
            " or an issue, such as PROJ-123"
        )
    return About(scope=match[1], number=int(match[2]))


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """One line at the end: why something is or is not there; `note_id` 0 is no command's."""

    why: Why
    about: str
    note_id: int = 0


class Shown:
    """What is on the screen: rows as they come, and the closing line when it says something new."""

    def __init__(self, terminal: Terminal, *, as_json: bool) -> None:
        self._terminal = terminal
        self._as_json = as_json
        self._start: datetime | None = None
        self._last: dict[int, Why] = {}

    def whole(self, records: Sequence[Recorded], seen: Seen) -> None:
        """Every event there ever was, with the Jobs and letters of what counts now."""
        if records:
            self._start = records[0].time
        rows = history.rows(records, launches=seen.launches, letters=seen.letters)
        self._rows(rows)

    def more(self, record: Recorded) -> None:
        self._start = self._start or record.time
        self._rows(history.of_record(record, self._start))

    def closing(self, answers: Sequence[Closing]) -> None:
        """Say what is new of them; the merge request's or the issue's own answer comes last."""
        for answer in answers:
            if self._last.get(answer.note_id) != answer.why:
                self._last[answer.note_id] = answer.why
                self._close(answer)

    def _close(self, answer: Closing) -> None:
        terminal = self._terminal
        if self._as_json:
            terminal.write(history.json_closing(answer.why, note_id=answer.note_id))
            return
        for line in history.closing(
            answer.why, about=answer.about, width=terminal.width, colored=terminal.colored
        ):
            terminal.write(line)

    def _rows(self, rows: list[history.Row]) -> None:
        terminal = self._terminal
        if self._as_json:
            lines = [history.json_row(row) for row in rows]
        else:
            lines = history.table(
                rows,
                width=terminal.width,
                colored=terminal.colored,
                today=datetime.now(UTC),
            )
        for line in lines:
            terminal.write(line)


def answers(seen: Seen, about: About) -> list[Closing]:
    """Why each command did what it did, then why the merge request or issue is where it is."""
    if about.is_issue:
        return [Closing(why=why_issue(seen), about="merge request")]
    found = []
    for record in seen.commands():
        note_id = int(record.subject.rsplit(".", 1)[-1])
        why, name = why_command(record, seen), f"result of note {note_id}"
        found.append(Closing(why=why, about=name, note_id=note_id))
    return [*found, Closing(why=why_review(seen), about="review")]


@dataclass(frozen=True)
class Source:
    """Where the answer is gathered from, again and again while it is followed."""

    connection: Connection
    live: Live
    situation: Situation
    about: About

    async def chain(self) -> list[Recorded]:
        """All events about it, also those that a newer one of their subject replaced: replays."""
        about = self.about
        return await chain(self.connection, about.scope, str(about.number))

    async def seen(self) -> Seen:
        about = self.about
        if about.is_issue:
            return await gather_issue(self.connection, self.situation, about.scope, about.number)
        project_id = int(about.scope)
        return await gather(self.connection, self.live, self.situation, project_id, about.number)


async def run(
    what: str, situation: Situation, terminal: Terminal, *, follow_on: bool, as_json: bool
) -> int:
    """Print the chain and why it is where it is; go on with new events when asked to."""
    about = parse(what)
    async with opened_log(situation) as connection, Live(situation) as live:
        if not about.is_issue and not about.scope.isdecimal():
            project_id = await live.project_id(about.scope)
            about = msgspec.structs.replace(about, scope=str(project_id))
        source = Source(connection, live, situation, about)
        seen = await source.seen()
        shown = Shown(terminal, as_json=as_json)
        shown.whole(await source.chain(), seen)
        shown.closing(answers(seen, about))
        if follow_on:
            await _follow(source, max((record.seq for record in seen.history), default=0), shown)
    return 0


async def _follow(source: Source, last: int, shown: Shown) -> None:
    """New events at once; what changes without one (a slot, GitLab) within `LOOK_SECONDS`."""
    about = source.about
    records = follow(source.connection, subjects.history(about.scope, about.number), last)
    coming = asyncio.ensure_future(anext(records))
    try:
        while True:
            await asyncio.wait({coming}, timeout=LOOK_SECONDS)
            if coming.done():
                shown.more(coming.result())
                coming = asyncio.ensure_future(anext(records))
            shown.closing(answers(await source.seen(), about))
    finally:
        coming.cancel()
