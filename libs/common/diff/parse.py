r"""From the text of `git diff` to `Diff`. Called by whoever ran git.

Written for `git diff --no-color --no-ext-diff -M -U3 --src-prefix=a/ --dst-prefix=b/`, with
core.quotePath on or off. Lines end at `\n` only: a form feed or a carriage return is text.
Strange input never raises; what cannot be understood is left out.
"""

from __future__ import annotations

import re

from libs.common.diff.model import Diff, FileDiff, Hunk, Kind, Line, Status
from libs.common.diff.paths import command_paths, header_path, unquote

_COMMAND = "diff --git "
_HUNK = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@ ?(.*)", re.DOTALL)
_INDEX = re.compile(r"index [0-9a-f]+\.\.[0-9a-f]+ (\d{6})")
_KINDS: dict[str, Kind] = {"+": "added", "-": "removed", " ": "context", "": "context"}
_STATUS_BY_HEADER: dict[str, Status] = {
    "new file mode ": "added",
    "deleted file mode ": "deleted",
    "rename from ": "renamed",
    "copy from ": "copied",
}


def parse_diff(text: str) -> Diff:
    """Every file of the diff, in its order."""
    lines = text.split("\n")
    files = []
    at = 0
    while at < len(lines):
        if lines[at].startswith(_COMMAND):
            file, at = _read_file(lines, at)
            files.append(file)
        else:
            at += 1
    return Diff(tuple(files))


def _read_file(lines: list[str], at: int) -> tuple[FileDiff, int]:
    header = _Header(lines[at][len(_COMMAND) :])
    at += 1
    hunks: list[Hunk] = []
    while at < len(lines) and not lines[at].startswith(_COMMAND):
        match = _HUNK.match(lines[at])
        if match is not None:
            hunk, at = _read_hunk(match, lines, at + 1)
            hunks.append(hunk)
        else:
            if not hunks:
                header.read(lines[at])
            at += 1
    return header.file(tuple(hunks)), at


def _read_hunk(match: re.Match[str], lines: list[str], at: int) -> tuple[Hunk, int]:
    """Counts of the `@@` line decide where the hunk ends, so its text may look like headers."""
    old_start, new_start = int(match[1]), int(match[3])
    old_count, new_count = (1 if n is None else int(n) for n in (match[2], match[4]))
    old, new, old_left, new_left = old_start, new_start, old_count, new_count
    out: list[Line] = []
    while at < len(lines) and (old_left > 0 or new_left > 0):
        marker, text = lines[at][:1], lines[at][1:]
        if marker == "\\":
            at += 1
            continue
        kind = _KINDS.get(marker)
        if kind is None or (marker == "" and at == len(lines) - 1):
            break
        out.append(Line(kind, old, new, text))
        old_step, new_step = int(kind != "added"), int(kind != "removed")
        old, new = old + old_step, new + new_step
        old_left, new_left = old_left - old_step, new_left - new_step
        at += 1
    hunk = Hunk(
        old_start=old_start,
        old_count=old_count,
        new_start=new_start,
        new_count=new_count,
        heading=match[5],
        lines=tuple(out),
    )
    return hunk, at


class _Header:
    """Collects the lines between `diff --git` and the first hunk."""

    def __init__(self, rest: str) -> None:
        self._rest = rest
        self._status: Status = "modified"
        self._old = self._new = ""
        self._old_mode = self._new_mode = ""
        self._binary = False

    def read(self, line: str) -> None:
        for start, status in _STATUS_BY_HEADER.items():
            if line.startswith(start):
                self._status = status
        self._read_path(line)
        self._read_mode(line)
        if line.startswith(("Binary files ", "GIT binary patch")):
            self._binary = True

    def _read_path(self, line: str) -> None:
        if line.startswith(("rename from ", "copy from ")):
            self._old = unquote(line.partition(" from ")[2])
        elif line.startswith(("rename to ", "copy to ")):
            self._new = unquote(line.partition(" to ")[2])
        elif line.startswith("--- "):
            self._old = self._old or header_path(line[4:])
        elif line.startswith("+++ "):
            self._new = self._new or header_path(line[4:])

    def _read_mode(self, line: str) -> None:
        mode = line.rpartition(" ")[2]
        if line.startswith(("old mode ", "deleted file mode ")):
            self._old_mode = mode
        elif line.startswith(("new mode ", "new file mode ")):
            self._new_mode = mode
        elif match := _INDEX.match(line):
            self._old_mode = self._new_mode = match[1]

    def file(self, hunks: tuple[Hunk, ...]) -> FileDiff:
        old, new = self._old or self._new, self._new or self._old
        if not new:
            old, new = command_paths(self._rest)
        kinds = [line.kind for hunk in hunks for line in hunk.lines]
        return FileDiff(
            old_path=old,
            new_path=new,
            status=self._status,
            binary=self._binary,
            old_mode=self._old_mode,
            new_mode=self._new_mode,
            hunks=hunks,
            added=kinds.count("added"),
            removed=kinds.count("removed"),
        )
