"""The terminal of `gca up`: one line per thing that happens, coloured where that helps."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from libs.common.events.envelope import Recorded
from services.ops.screen import (
    clock,
    is_trouble,
    log_fields,
    log_text,
    paint,
    printable,
    speaks_of_lost_nats,
    told,
)

Heard = Literal["news", "same", "over", "other"]
RECONNECTED = "reconnected to NATS"
FORGOTTEN, STRAGGLING = 120.0, 5.0
"""Seconds: services complain at least so often while NATS is away; they notice within so long."""

_WORD_COLORS = {
    "up": "green",
    "posted": "green",
    "failed": "red",
    "trouble": "yellow",
    "event": "blue",
    "task": "blue",
    "result": "blue",
    "session": "grey",
    "start": "blue",
}


class Outage:
    """Tells when NATS is lost and back; each service notices by itself, people hear it once."""

    def __init__(self) -> None:
        self._lost_at = self._back_at = -FORGOTTEN

    def heard(self, fields: dict[str, Any], now: float) -> Heard:
        """What a child's line means; `now` counts seconds."""
        lost = self._lost_at > self._back_at
        if fields["event"] == RECONNECTED:
            self._back_at = now
            return "over" if lost else "same"
        if not speaks_of_lost_nats(fields):
            return "other"
        # The slowest to notice may do so when another has NATS again.
        known = (lost and now - self._lost_at < FORGOTTEN) or now - self._back_at < STRAGGLING
        if lost or not known:
            self._lost_at = now
        return "same" if known else "news"


class Screen:
    """Writes lines `time  word  text`; colours only on a terminal and without NO_COLOR."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._colored = out.isatty() and "NO_COLOR" not in os.environ
        self._quiet = False
        self._outage = Outage()
        self._eyes: set[str] = set()

    def title(self, name: str, detail: str) -> None:
        self._write(f"{paint(name, 'bold', colored=self._colored)}  {detail}")

    def line(self, word: str, text: str, when: datetime | None = None) -> None:
        if self._quiet and word in {"session", "trouble"}:
            return
        stamp = paint(clock(when or datetime.now(UTC)), "grey", colored=self._colored)
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
        """Show a child's log line when it speaks of trouble; the rest is in its file.

        What all services say of NATS is said once.
        """
        fields = log_fields(line)
        if fields is None:
            return
        match self._outage.heard(fields, time.monotonic()):
            case "news":
                self.trouble("NATS is away; the services wait, and go on when it is back")
            case "over":
                self.done("NATS is back, the services go on")
            case "other" if is_trouble(fields):
                self.line("trouble", f"{name}: {log_text(fields)}")
            case "other" if fields["event"] == "audit":
                self._wrote(fields)

    def _wrote(self, fields: dict[str, Any]) -> None:
        """What people see while a task runs; the rest is told when it is published."""
        task_id, seen = str(fields.get("task_id", "")), self._eyes
        if fields.get("what") == "emoji" and task_id not in seen:
            seen.add(task_id)
            self.line("start", f"{task_id} has eyes on its note")
        elif fields.get("what") == "jira_transition":
            self.line("start", f"{task_id} moved its issue to {fields.get('id')}")

    async def pause(self) -> None:
        """While stopping, what children say about peers that went first is no news."""
        self._quiet = True

    def _write(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()
