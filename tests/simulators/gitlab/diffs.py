"""Unified diffs of git as GitLab holds them: files, hunks, lines with both counters.

Pure. Called by the repository, by positions, by the diff endpoints and by the page.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import cached_property

_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_FILE_START = re.compile(rb"^diff --git ", re.MULTILINE)


@dataclass(frozen=True)
class DiffLine:
    """One line of a hunk.

    `old` and `new` are GitLab's running counters: on an added line `old` is the next old line, on
    a removed line `new` is the next new line. Both go into the line_code.
    """

    kind: str  # added, removed, context
    old: int
    new: int
    text: str

    @property
    def old_line(self) -> int | None:
        return None if self.kind == "added" else self.old

    @property
    def new_line(self) -> int | None:
        return None if self.kind == "removed" else self.new


@dataclass(frozen=True)
class Hunk:
    """A block of lines; starts and lengths as its header says."""

    header: str
    old_start: int
    old_length: int
    new_start: int
    new_length: int
    lines: tuple[DiffLine, ...]


@dataclass(frozen=True)
class FileDiff:
    """One changed file. `text` starts at the first `@@`, as the API shows it."""

    old_path: str
    new_path: str
    a_mode: str
    b_mode: str
    status: str  # A, D, M, R, T of git
    text: str

    @property
    def new_file(self) -> bool:
        return self.status == "A"

    @property
    def deleted_file(self) -> bool:
        return self.status == "D"

    @property
    def renamed_file(self) -> bool:
        return self.status == "R"

    @property
    def binary(self) -> bool:
        return self.text.startswith("Binary files ")

    @cached_property
    def hunks(self) -> tuple[Hunk, ...]:
        return tuple(_hunks(self.text))

    @property
    def lines(self) -> list[DiffLine]:
        return [line for hunk in self.hunks for line in hunk.lines]


def parse_diff(raw: bytes, patch: bytes) -> list[FileDiff]:
    """Join `git diff --raw -z` (exact paths) with the patch text, which has the same order."""
    patches = iter(_split_patch(patch))
    files: list[FileDiff] = []
    for a_mode, b_mode, status, old_path, new_path in _raw_entries(raw):
        if status == "T":  # git writes a change of type as a removal and an addition
            gone, come = next(patches), next(patches)
            files.append(FileDiff(old_path, new_path, a_mode, "000000", "D", gone))
            files.append(FileDiff(old_path, new_path, "000000", b_mode, "A", come))
        else:
            text = next(patches)
            files.append(FileDiff(old_path, new_path, a_mode, b_mode, status, text))
    return files


def _raw_entries(raw: bytes) -> list[tuple[str, str, str, str, str]]:
    fields = raw.decode(errors="surrogateescape").split("\0")
    entries = []
    position = 0
    while position < len(fields) and fields[position]:
        a_mode, b_mode, _, _, status = fields[position].lstrip(":").split(" ")
        old_path = fields[position + 1]
        moved = status[0] in "RC"
        new_path = fields[position + 2] if moved else old_path
        position += 3 if moved else 2
        entries.append((a_mode, b_mode, status[0], old_path, new_path))
    return entries


def _split_patch(patch: bytes) -> list[str]:
    starts = [match.start() for match in _FILE_START.finditer(patch)]
    parts = [patch[a:b] for a, b in itertools.pairwise([*starts, len(patch)])]
    return [_body(part.decode(errors="replace")) for part in parts]


def _body(part: str) -> str:
    if part.startswith("@@"):
        return part
    start = part.find("\n@@ ")
    if start >= 0:
        return part[start + 1 :]
    binary = part.find("\nBinary files ")
    return part[binary + 1 :] if binary >= 0 else ""


def _hunks(text: str) -> list[Hunk]:
    hunks: list[Hunk] = []
    header: re.Match[str] | None = None
    lines: list[DiffLine] = []
    old = new = 0
    for row in text.split("\n"):
        start = _HUNK.match(row)
        if start:
            if header:
                hunks.append(_hunk(header, lines))
            header, lines = start, []
            old, new = int(start[1]), int(start[3])
        elif header and row[:1] in {"+", "-", " "}:
            kind = {"+": "added", "-": "removed", " ": "context"}[row[0]]
            lines.append(DiffLine(kind, old, new, row[1:]))
            old += kind != "added"
            new += kind != "removed"
    if header:
        hunks.append(_hunk(header, lines))
    return hunks


def _hunk(header: re.Match[str], lines: list[DiffLine]) -> Hunk:
    old_length = int(header[2]) if header[2] is not None else 1
    new_length = int(header[4]) if header[4] is not None else 1
    return Hunk(header.string, int(header[1]), old_length, int(header[3]), new_length, tuple(lines))
