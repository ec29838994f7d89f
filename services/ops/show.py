"""The terminal of `gca up`: one line per thing that happens, coloured where that helps."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TextIO

from libs.common.events.envelope import Recorded
from services.ops.screen import (
    clock,
    is_trouble,
    log_fields,
    log_text,
    paint,
    printable,
    told,
)

_WORD_COLORS = {
    "up": "green",
    "posted": "green",
    "failed": "red",
    "trouble": "yellow",
    "event": "blue",
    "task": "blue",
    "result": "blue",
    "session": "grey",
}


class Screen:
    """Writes lines `time  word  text`; colours only on a terminal and without NO_COLOR."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._colored = out.isatty() and "NO_COLOR" not in os.environ
        self._quiet = False

    def title(self, name: str, detail: str) -> None:
        self._write(f"{paint(name, 'bold', colored=self._colored)}  {detail}")

    def line(self, word: str, text: str, time: datetime | None = None) -> None:
        if self._quiet and word in {"session", "trouble"}:
            return
        stamp = paint(clock(time or datetime.now(UTC)), "grey", colored=self._colored)
        label = paint(f"{word:<8}", _WORD_COLORS.get(word, "grey"), colored=self._colored)
        self._write(f"{stamp}  {label} {printable(text)}")

    def done(self, text: str) -> None:
        self.line("up", text)

    def trouble(self, text: str) -> None:
        self.line("trouble", text)

    def problems(self, text: str, lines: list[str]) -> None:
        self.trouble(text)
        for line in lines:
            self._write(f"    {line}")

    def text(self, text: str) -> None:
        self._write(text)

    def record(self, record: Recorded) -> None:
        word, text = told(record)
        self.line(word, text, record.time)

    def child_line(self, name: str, line: str) -> None:
        """Show a child's log line when it speaks of trouble; the rest is in its file."""
        fields = log_fields(line)
        if fields is not None and is_trouble(fields):
            self.line("trouble", f"{name}: {log_text(fields)}")

    async def pause(self) -> None:
        """While stopping, what children say about peers that went first is no news."""
        self._quiet = True

    def _write(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()
