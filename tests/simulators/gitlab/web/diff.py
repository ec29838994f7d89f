"""Draws the files of a diff, with each thread under the line it sits on."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from tests.simulators.gitlab.diffs import DiffLine

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.simulators.gitlab.diffs import FileDiff
    from tests.simulators.gitlab.positions import Position
    from tests.simulators.gitlab.state import DiffVersion, Discussion, MergeRequest

LARGE = 1500  # lines of one file that are drawn
AROUND = 3  # lines shown before a thread outside the hunks
_SIGNS = {"added": "+", "removed": "-", "context": " "}


def place(position: Position) -> str:
    """Name the line a position sits on, within its merge request."""
    if position.position_type != "text":
        return f"{position.path}\0file"
    return f"{position.path}\0{position.old_line}\0{position.new_line}"


def entry(number: int, file: FileDiff, placed: dict[str, list[Discussion]]) -> str:
    """Draw a line of the file list."""
    prefix = f"{file.new_path}\0"
    count = sum(len(found) for key, found in placed.items() if key.startswith(prefix))
    threads = f'<span class="badge count">{count}</span>' if count else ""
    return f'<a href="#file-{number}">{_status(file)} {_name(file)} {threads}</a>'


def file(
    record: MergeRequest,
    version: DiffVersion,
    file: FileDiff,
    placed: dict[str, list[Discussion]],
    drawn: dict[str, str],
) -> str:
    top = drawn.get(f"{file.new_path}\0file", "")
    segments = [_Segment(hunk.new_start, hunk.header, list(hunk.lines)) for hunk in file.hunks]
    segments += _unfolded(record, version, file, placed)
    segments.sort(key=lambda segment: segment.start)
    ranges = _ranges(file, placed)
    rows = "".join(_segment(file, segment, drawn, ranges) for segment in segments)
    table = f'<div class="scroll"><table class="diff">{rows}</table></div>'
    body = table if file.hunks else _nothing(file)
    return f"<h3>{_status(file)} {_name(file)}</h3>{top}{body}"


@dataclass
class _Segment:
    """Consecutive lines: a hunk, or lines unfolded around a thread."""

    start: int
    header: str
    lines: list[DiffLine]


def _status(file: FileDiff) -> str:
    words = {"A": "added", "D": "deleted", "R": "renamed"}
    word = words.get(file.status, "")
    return f'<span class="badge {word}">{word}</span>' if word else ""


def _name(file: FileDiff) -> str:
    if file.old_path != file.new_path:
        return f"<code>{escape(file.old_path)} → {escape(file.new_path)}</code>"
    return f"<code>{escape(file.new_path)}</code>"


def _nothing(file: FileDiff) -> str:
    if file.binary:
        return '<p class="empty">Binary file.</p>'
    return '<p class="empty">No change of content.</p>'


def _unfolded(
    record: MergeRequest,
    version: DiffVersion,
    file: FileDiff,
    placed: dict[str, list[Discussion]],
) -> list[_Segment]:
    """Return the lines around threads that sit outside every hunk."""
    shown = {(line.old_line, line.new_line) for line in file.lines}
    segments = []
    for found in placed.values():
        position = found[0].notes[0].position
        if position is None or position.path != file.new_path or position.new_line is None:
            continue
        old, new = position.old_line, position.new_line
        if old is None or (old, new) in shown:
            continue
        content = record.project.repository.file(version.head_sha, file.new_path) or b""
        text = content.decode(errors="replace").splitlines()
        first = max(1, new - AROUND)
        lines = [
            DiffLine("context", old - (new - number), number, text[number - 1])
            for number in range(first, new + 1)
            if number <= len(text) and (old - (new - number), number) not in shown
        ]
        shown |= {(line.old, line.new) for line in lines}
        segments.append(_Segment(first, "…", lines))
    return segments


def _ranges(file: FileDiff, placed: dict[str, list[Discussion]]) -> set[tuple[int, int]]:
    """Return the counters of every line inside a multi-line comment."""
    marked: set[tuple[int, int]] = set()
    for discussions in placed.values():
        for discussion in discussions:
            position = discussion.notes[0].position
            if position is None or position.path != file.new_path or not position.line_range:
                continue
            ends = [_counters(position.line_range.get(side)) for side in ("start", "end")]
            counters = [(line.old, line.new) for line in file.lines]
            if all(end in counters for end in ends):
                first, last = (counters.index(end) for end in ends if end is not None)
                marked |= set(counters[first : last + 1])
    return marked


def _counters(side: object) -> tuple[int, int] | None:
    code = side.get("line_code") if isinstance(side, dict) else None
    parts = str(code).rsplit("_", 2)
    if len(parts) != 3 or not (parts[1].isdecimal() and parts[2].isdecimal()):
        return None
    return int(parts[1]), int(parts[2])


def _segment(
    file: FileDiff, segment: _Segment, drawn: dict[str, str], ranges: Iterable[tuple[int, int]]
) -> str:
    head = f'<tr class="hunk"><td class="number"></td><td class="number"></td><td>\
{escape(segment.header)}</td></tr>'
    return head + "".join(_row(file, line, drawn, ranges) for line in segment.lines[:LARGE])


def _row(
    file: FileDiff, line: DiffLine, drawn: dict[str, str], ranges: Iterable[tuple[int, int]]
) -> str:
    marked = " marked" if (line.old, line.new) in ranges else ""
    row = f"""<tr class="{line.kind}{marked}"><td class="number">{line.old_line or ""}</td>
<td class="number">{line.new_line or ""}</td><td class="text">\
<span class="sign">{_SIGNS[line.kind]}</span>{escape(line.text) or " "}</td></tr>"""
    threads = drawn.get(f"{file.new_path}\0{line.old_line}\0{line.new_line}")
    if threads is None:
        return row
    return f'{row}<tr class="comments"><td colspan="3">{threads}</td></tr>'
