"""`gca dead-letters list|show|retry|drop`: what nobody could handle, and what becomes of it."""

from __future__ import annotations

import argparse
import contextlib
import textwrap
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import msgspec

from libs.common import subjects
from libs.common.errors import AgentError
from libs.common.events.envelope import MESSAGE_ID
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.letters import DeadLetter, Fate, Letters, read
from libs.common.jetstream.reading import Stored
from services.ops.confirming import Ask, agreed, typed
from services.ops.doctor.situation import Situation
from services.ops.opened import opened_log
from services.ops.screen import count, paint, printable
from services.ops.terminal import Terminal
from services.ops.window import checked_filter, moment

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HEADS = ("id", "when", "service", "subject", "attempts", "trace id", "reason")
_FOR_THE_SERVER = "Nats-"
"""What is addressed to the server says nothing to people."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which letters are meant: all that fit everything that is given."""

    ids: tuple[int, ...] = ()
    subject: str = ""
    service: str = ""
    reason: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_everything(self) -> bool:
        return self == Wanted()

    def takes(self, letter: DeadLetter) -> bool:
        """Whether a letter is meant; subjects are those of the event, `reason` is a part of it."""
        return (
            (not self.ids or letter.id in self.ids)
            and (not self.subject or subjects.covers(self.subject, letter.original))
            and (not self.service or self.service == letter.service)
            and self.reason.lower() in letter.reason.lower()
            and (self.since is None or letter.time >= self.since)
            and (self.until is None or letter.time <= self.until)
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["list", "show", "retry", "drop"])
    parser.add_argument("ids", nargs="*", type=int, metavar="ID", help="as `list` shows them")
    parser.add_argument("--subject", default="", help="filter such as 'mr.opened.42.>'")
    parser.add_argument("--service", default="", help="who gave up, such as reviewer")
    parser.add_argument("--reason", default="", help="words that the reason holds")
    parser.add_argument("--since", default="", help="not before: 2h, 3d or 2026-01-05T09:30")
    parser.add_argument("--until", default="", help="not after; as --since")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def wanted(given: argparse.Namespace, now: datetime) -> Wanted:
    """What the command line asks for; raises `AgentError`."""
    return Wanted(
        ids=tuple(given.ids),
        subject=checked_filter(given.subject) if given.subject else "",
        service=given.service,
        reason=given.reason,
        since=moment(given.since, now, "--since") if given.since else None,
        until=moment(given.until, now, "--until") if given.until else None,
    )


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A letter and what an operator did with it."""

    letter: DeadLetter
    fate: Fate | None = None


async def run(
    given: argparse.Namespace, situation: Situation, terminal: Terminal, *, ask: Ask = typed
) -> int:
    """One action over the letters that are meant; 1 when an id is not there."""
    which = wanted(given, datetime.now(UTC))
    if given.action != "list" and which.is_everything:
        raise AgentError(f"which ones? Name ids or a filter: gca dead-letters {given.action} 17")
    async with opened_log(situation) as connection:
        desk = Desk(connection, terminal, as_json=given.json)
        match given.action:
            case "list":
                return await desk.list(which)
            case "show":
                return await desk.show(which)
            case "retry":
                return await desk.retry(which)
            case _:
                return await desk.drop(which, yes=given.yes, ask=ask)


class Desk:
    """The four actions, over one connection."""

    def __init__(self, connection: Connection, terminal: Terminal, *, as_json: bool) -> None:
        self._letters = Letters(connection)
        self._terminal = terminal
        self._as_json = as_json

    async def list(self, which: Wanted) -> int:
        found = [row async for row, _ in self._rows(which)]
        self._show(found)
        return self._missing(which, found)

    async def show(self, which: Wanted) -> int:
        found = []
        async for row, stored in self._rows(which):
            found.append(row)
            for line in whole(row, stored, as_json=self._as_json):
                self._terminal.write(line)
        return self._missing(which, found)

    async def retry(self, which: Wanted) -> int:
        """Those that were put back before are left alone: what came of that is in the history."""
        found, done = [row async for row, _ in self._rows(which)], 0
        for row in found:
            if row.fate is not None:
                self._terminal.write(f"{row.letter.id}: {fate_text(row.fate)}; left alone")
                continue
            fate = await self._letters.put_back(row.letter, datetime.now(UTC))
            where = subjects.retry(row.letter.service, row.letter.subject)
            self._terminal.write(f"{row.letter.id}: put back as #{fate.seq} {where}")
            done += 1
        self._terminal.write(f"{count(done, 'dead letter')} put back")
        return self._missing(which, found)

    async def drop(self, which: Wanted, *, yes: bool, ask: Ask) -> int:
        found = [row async for row, _ in self._rows(which)]
        if not found:
            return self._missing(which, found) or self._none()
        self._show(found)
        if not await agreed(f"Drop {count(len(found), 'dead letter')}?", yes=yes, ask=ask):
            self._terminal.write("nothing was dropped")
            return 1
        await self._letters.drop([row.letter for row in found], datetime.now(UTC))
        self._terminal.write(f"{count(len(found), 'dead letter')} dropped")
        return self._missing(which, found)

    async def _rows(self, which: Wanted) -> AsyncIterator[tuple[Row, Stored]]:
        """All that are meant and were not dropped, oldest first."""
        async for stored in self._letters.since(which.since or _EPOCH):
            letter = read(stored)
            if not which.takes(letter):
                continue
            fate = await self._letters.fate(letter)
            if fate is None or fate.what != "dropped":
                yield Row(letter=letter, fate=fate), stored

    def _show(self, found: Sequence[Row]) -> None:
        terminal = self._terminal
        if self._as_json:
            for row in found:
                terminal.write(msgspec.json.encode(row).decode())
            return
        if not found:
            self._none()
        for line in table(found, width=terminal.width, colored=terminal.colored):
            terminal.write(line)

    def _none(self) -> int:
        self._terminal.write("no dead letters")
        return 0

    def _missing(self, which: Wanted, found: Sequence[Row]) -> int:
        missing = set(which.ids) - {row.letter.id for row in found}
        for letter_id in sorted(missing):
            self._terminal.aside(f"gca: there is no dead letter {letter_id} that fits")
        return 1 if missing else 0


def fate_text(fate: Fate) -> str:
    """What an operator did, and when."""
    at = f"{fate.at.astimezone():%Y-%m-%d %H:%M:%S}"
    return f"retried {at} as #{fate.seq}" if fate.what == "retried" else f"dropped {at}"


def table(found: Sequence[Row], *, width: int | None, colored: bool) -> list[str]:
    """The letters as lines: pure. The reason comes last and is wrapped, nothing is lost."""
    if not found:
        return []
    cells = [_cells(row) for row in found]
    sizes = [max(len(line[i]) for line in [_HEADS, *cells]) for i in range(len(_HEADS) - 1)]
    lines = [_line(_HEADS, sizes, None)[0]]
    for row, line in zip(found, cells, strict=True):
        lines += _line(line, sizes, width)
        if row.fate is not None:
            lines.append(paint(f"    {fate_text(row.fate)}", "grey", colored=colored))
    return lines


def _cells(row: Row) -> tuple[str, ...]:
    letter = row.letter
    return (
        str(letter.id),
        f"{letter.time.astimezone():%Y-%m-%d %H:%M:%S}",
        printable(letter.service),
        printable(letter.subject),
        str(letter.attempts),
        printable(letter.trace_id) or "-",
        printable(letter.reason),
    )


def _line(cells: Sequence[str], sizes: list[int], width: int | None) -> list[str]:
    *first, last = cells
    head = "  ".join(f"{cell:<{size}}" for cell, size in zip(first, sizes, strict=True))
    if width is None or len(head) + 2 + len(last) <= width:
        return [f"{head}  {last}"]
    indent = " " * 4
    return [
        head.rstrip(),
        *textwrap.wrap(last, max(width, 24), initial_indent=indent, subsequent_indent=indent),
    ]


def whole(row: Row, stored: Stored, *, as_json: bool) -> list[str]:
    """The whole letter: where it stands, its headers, its event as it was; pure."""
    headers = {
        name: value
        for name, value in sorted(stored.headers.items())
        if not name.startswith(_FOR_THE_SERVER) or name == MESSAGE_ID
    }
    body = stored.body.decode("utf-8", "replace")
    if as_json:
        found = msgspec.to_builtins(row) | {"headers": headers, "body": body}
        return [msgspec.json.encode(found).decode()]
    letter = row.letter
    return [
        f"dead letter {letter.id}  {letter.time.astimezone():%Y-%m-%d %H:%M:%S}",
        f"  subject   {printable(letter.subject)}",
        f"  gave up   {letter.service}, attempt {letter.attempts}",
        f"  reason    {printable(letter.reason)}",
        f"  fate      {fate_text(row.fate) if row.fate else 'nothing was done with it yet'}",
        "  headers",
        *(f"    {printable(name)}: {printable(value)}" for name, value in headers.items()),
        "  event",
        *_pretty(body),
    ]


def _pretty(body: str) -> list[str]:
    """JSON line by line, anything else as it is; nothing in it moves the cursor."""
    if not body:
        return ["    (too large to be kept here; the log may still have it)"]
    with contextlib.suppress(msgspec.MsgspecError, RecursionError):
        body = msgspec.json.format(body, indent=2)
    lines = body.splitlines()
    depths = [len(line) - len(line.lstrip(" ")) for line in lines]
    return [
        f"{'':<{4 + depth}}{printable(line)}" for depth, line in zip(depths, lines, strict=True)
    ]
