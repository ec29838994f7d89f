"""`gca events PROJECT!IID`: the whole chain of a merge request, and why it has no review."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime

from libs.common import subjects
from libs.common.errors import AgentError
from libs.common.events.envelope import Recorded
from libs.common.jetstream.connection import Connection, connected
from libs.common.jetstream.follow import follow
from services.ops import history
from services.ops.doctor.situation import Situation
from services.ops.seen import Live, gather
from services.ops.terminal import Terminal
from services.ops.why import Seen, Why, why

LOOK_SECONDS = 2.0


def parse(text: str) -> tuple[str, int]:
    """Project (id or path) and iid of `42!7`; raises `AgentError`."""
    match = re.fullmatch(r"(\w[\w.-]*(?:/\w[\w.-]*)*)!([0-9]+)", text)
    if match is None or not (match[1].isdecimal() or "/" in match[1]):
        raise AgentError(
            f"{text[:60]!r} is not a merge request; write PROJECT!IID, such as 42!7 or group/app!7"
        )
    return match[1], int(match[2])


class Shown:
    """What is on the screen: rows as they come, and the closing line when it says something new."""

    def __init__(self, terminal: Terminal, *, as_json: bool) -> None:
        self._terminal = terminal
        self._as_json = as_json
        self._start: datetime | None = None
        self._last: Why | None = None

    def whole(self, seen: Seen) -> None:
        if seen.history:
            self._start = seen.history[0].time
        rows = history.rows(seen.history, launches=seen.launches, letters=seen.letters)
        self._rows(rows)

    def more(self, record: Recorded) -> None:
        self._start = self._start or record.time
        self._rows(history.of_record(record, self._start))

    def closing(self, answer: Why) -> None:
        if answer == self._last:
            return
        self._last = answer
        terminal = self._terminal
        if self._as_json:
            terminal.write(history.json_closing(answer))
            return
        for line in history.closing(answer, width=terminal.width, colored=terminal.colored):
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


async def run(
    merge_request: str, situation: Situation, terminal: Terminal, *, follow_on: bool, as_json: bool
) -> int:
    """Print the chain and why it is where it is; go on with new events when asked to."""
    project, iid = parse(merge_request)
    url = situation.nats_url
    if not url:
        raise AgentError("no `gca up` runs here and NATS_URL is not set: which log is meant?")
    async with (
        connected(
            url,
            name="gca",
            on_closed=lambda: None,
            credentials=situation.nats_credentials,
            patience=20,
        ) as connection,
        Live(situation) as live,
    ):
        project_id = int(project) if project.isdecimal() else await live.project_id(project)
        seen = await gather(connection, live, situation, project_id, iid)
        shown = Shown(terminal, as_json=as_json)
        shown.whole(seen)
        shown.closing(why(seen))
        if follow_on:
            last = max((record.seq for record in seen.history), default=0)
            pattern = subjects.history(project_id, iid)
            await _follow(connection, pattern, last, live, situation, shown)
    return 0


async def _follow(
    connection: Connection,
    pattern: str,
    last: int,
    live: Live,
    situation: Situation,
    shown: Shown,
) -> None:
    """New events at once; what changes without one (a slot, GitLab) within `LOOK_SECONDS`."""
    _, _, scope, ref, _ = pattern.split(".")
    records = follow(connection, pattern, last)
    coming = asyncio.ensure_future(anext(records))
    try:
        while True:
            await asyncio.wait({coming}, timeout=LOOK_SECONDS)
            if coming.done():
                shown.more(coming.result())
                coming = asyncio.ensure_future(anext(records))
            shown.closing(why(await gather(connection, live, situation, int(scope), int(ref))))
    finally:
        coming.cancel()
