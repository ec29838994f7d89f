"""What `gca up` shows while it runs: new events of the log, and what the runners say."""

from __future__ import annotations

import asyncio
from pathlib import Path

from libs.common.jetstream.connection import Connection
from libs.common.jetstream.follow import follow, last_seq
from services.ops.screen import is_trouble, log_fields, log_text
from services.ops.show import Screen

LOOK_SECONDS = 0.2
SHOWN = frozenset(
    {
        *("clone finished", "session started", "tool used"),
        *("review submitted", "change submitted", "answer submitted"),
    }
)


async def watch_log(connection: Connection, screen: Screen) -> None:
    """Show each event that is appended from now on."""
    async for record in follow(connection, ">", await last_seq(connection)):
        screen.record(record)


async def watch_runners(folder: Path, screen: Screen) -> None:
    """Show the telling lines of every task's `clone.log` and `run.log` as they are written."""
    read: dict[Path, int] = {}
    while True:
        for file, line in await asyncio.to_thread(_new_lines, folder, read):
            fields = log_fields(line)
            if fields is None:
                continue
            if fields["event"] in SHOWN or is_trouble(fields):
                name = fields.pop("task_id", file.parent.name)
                screen.line("session", f"{name} {log_text(fields)}")
        await asyncio.sleep(LOOK_SECONDS)


def _new_lines(folder: Path, read: dict[Path, int]) -> list[tuple[Path, str]]:
    found = []
    for file in sorted(folder.glob("*/*.log")):
        start = read.get(file, 0)
        try:
            with file.open("rb") as source:
                source.seek(start)
                text = source.read()
        except OSError:
            continue
        whole = text[: text.rfind(b"\n") + 1]
        read[file] = start + len(whole)
        found += [(file, line.decode(errors="replace")) for line in whole.splitlines()]
    return found
