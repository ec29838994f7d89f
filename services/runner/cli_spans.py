"""The spans that the Copilot CLI writes itself: its turns, model calls and tool calls.

Used by `session`. The CLI speaks OTLP over HTTP only and our collectors over gRPC, so it writes
to a file and we pass on what belongs there: nothing that a prompt, an answer or an error said.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import structlog
from copilot import TelemetryConfig

from libs.common import telemetry
from libs.common.telemetry import Foreign, Kind, Value
from services.runner.permissions import OUR_TOOLS

log = structlog.get_logger()
FILE = "spans.jsonl"
SOURCE = "github-copilot"
LARGEST_FILE = 64 * 1024 * 1024
MOST_SPANS = 2000
LONGEST = 200
NAMES = ("invoke_agent", "chat", "execute_tool")
"""First words of the spans that are passed on; the CLI also times each step of its own start."""
ATTRIBUTES = frozenset(
    {
        "error.type",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.finish_reasons",
        "gen_ai.response.model",
        "gen_ai.tool.call.id",
        "gen_ai.tool.name",
        "gen_ai.tool.type",
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "github.copilot.cost",
        "github.copilot.server_duration",
        "github.copilot.turn_count",
        "github.copilot.turn_id",
        "server.address",
        "server.port",
    }
)
_HIDDEN = {hashlib.sha256(tool.encode()).hexdigest(): tool for tool in OUR_TOOLS}
_KINDS: dict[int, Kind] = {1: "server", 2: "client", 3: "producer", 4: "consumer"}


class _Status(msgspec.Struct):
    code: int = 0


class _Line(msgspec.Struct, rename="camel"):
    """One line of the CLI's file; metrics have another type."""

    type: str
    name: str = ""
    trace_id: str = ""
    span_id: str = ""
    parent_span_id: str = ""
    kind: int = 0
    start_time: tuple[int, int] = (0, 0)
    end_time: tuple[int, int] = (0, 0)
    attributes: dict[str, Any] = {}
    status: _Status = msgspec.field(default_factory=_Status)


def option(home: Path) -> TelemetryConfig | None:
    """The SDK's `telemetry`: into a file below the session's home, when anybody will see it."""
    if not telemetry.is_recorded():
        return None
    return {"exporter_type": "file", "file_path": str(home / FILE), "capture_content": False}


async def forward(home: Path, traceparent: str, secrets: Iterable[str]) -> None:
    """Pass the CLI's spans on; whatever is wrong with them is nobody's trouble."""
    if not telemetry.is_recorded():
        return
    try:
        lines = await asyncio.to_thread(_lines, home / FILE)
        telemetry.forward(kept(lines, telemetry.trace_id(traceparent), secrets), SOURCE)
    except Exception as error:  # noqa: BLE001  a review never fails because of telemetry
        log.warning("no spans of the session", error=type(error).__name__)


def kept(lines: Iterable[bytes], trace: str, secrets: Iterable[str] = ()) -> list[Foreign]:
    """Those of this trace that are worth it, without what lies between them."""
    found = {line.span_id: line for line in map(_read, lines) if line and line.trace_id == trace}
    spans = [line for line in found.values() if _is_kept(line)]
    hidden = [secret for secret in secrets if secret]
    return [_foreign(line, found, hidden) for line in spans[:MOST_SPANS]]


def _lines(file: Path) -> list[bytes]:
    if not file.is_file() or file.stat().st_size > LARGEST_FILE:
        return []
    return file.read_bytes().splitlines()


def _read(line: bytes) -> _Line | None:
    try:
        return msgspec.json.decode(line, type=_Line)
    except msgspec.MsgspecError:
        return None


def _is_kept(line: _Line) -> bool:
    return line.type == "span" and line.name.partition(" ")[0] in NAMES


def _foreign(line: _Line, found: Mapping[str, _Line], hidden: list[str]) -> Foreign:
    return Foreign(
        name=str(_plain(_named(line.name), hidden)),
        trace_id=line.trace_id,
        span_id=line.span_id,
        parent_id=_parent(line, found),
        kind=_KINDS.get(line.kind, "internal"),
        start=_nanoseconds(line.start_time),
        end=_nanoseconds(line.end_time),
        attributes={
            name: _plain(_HIDDEN.get(str(value), value), hidden)
            for name, value in line.attributes.items()
            if name in ATTRIBUTES
        },
        failed=line.status.code == 2,
    )


def _named(name: str) -> str:
    """With the names of our tools, which the CLI shows only as their SHA-256."""
    first, _, rest = name.partition(" ")
    return f"{first} {_HIDDEN[rest]}" if rest in _HIDDEN else name


def _parent(line: _Line, found: Mapping[str, _Line]) -> str:
    """The nearest one that is passed on, or the span of ours that the CLI was told."""
    parent, seen = line.parent_span_id, {line.span_id}
    while parent in found and not _is_kept(found[parent]) and parent not in seen:
        seen.add(parent)
        parent = found[parent].parent_span_id
    return parent


def _plain(value: object, hidden: list[str]) -> Value:
    if isinstance(value, bool | int | float):
        return value
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return "[redacted]" if any(secret in text for secret in hidden) else text[:LONGEST]


def _nanoseconds(time: tuple[int, int]) -> int:
    return time[0] * 10**9 + time[1]
