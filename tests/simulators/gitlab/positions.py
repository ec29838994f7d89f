"""Where a diff note sits: GitLab's rules for line numbers, line_code, and following a push.

Pure. Rules from lib/gitlab/diff (position, file, unfolding, position tracer) and the notes in
reference section 2.4. Called by discussions, drafts and the refresh after a push.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .diffs import FileDiff, Hunk


@dataclass(frozen=True)
class Position:
    """A position as a client sent it and the API echoes it."""

    base_sha: str
    start_sha: str
    head_sha: str
    position_type: str = "text"
    old_path: str | None = None
    new_path: str | None = None
    old_line: int | None = None
    new_line: int | None = None
    line_range: dict[str, Any] | None = None

    @property
    def path(self) -> str | None:
        return self.new_path or self.old_path

    @property
    def complete(self) -> bool:
        """Has shas and a path, and for text a line: GitLab's `Position#complete?`."""
        lines = self.position_type != "text" or self.old_line or self.new_line
        return bool(self.path and self.base_sha and self.start_sha and self.head_sha and lines)


def line_code(path: str, old: int, new: int) -> str:
    return f"{hashlib.sha1(path.encode()).hexdigest()}_{old}_{new}"


def find_file(files: list[FileDiff], position: Position) -> FileDiff | None:
    """Both paths must be those of the diff; a renamed file without its old path is not found."""
    for file in files:
        if file.new_path == position.new_path and file.old_path == position.old_path:
            return file
    return None


def resolve(file: FileDiff, position: Position, *, old_lines: int) -> str | None:
    """Return the line_code of the position in this file's diff, or None when there is no such line.

    An added line has a new line number only, a removed line an old one only, an unchanged line
    both. Unchanged lines outside the hunks count, as GitLab unfolds them, when the two numbers
    agree. `old_lines` is the length of the old file.
    """
    path = file.new_path or file.old_path
    old, new = position.old_line, position.new_line
    for line in file.lines:
        if line.old_line == old and line.new_line == new:
            return line_code(path, line.old, line.new)
    if old is None or new is None or not file.hunks or file.new_file or file.deleted_file:
        return None
    unfolded = _outside_hunks(file.hunks, old) if 0 < old <= old_lines else None
    return line_code(path, old, new) if unfolded == new else None


def _outside_hunks(hunks: tuple[Hunk, ...], old: int) -> int | None:
    """Map an old line that no hunk touches to its new number; None when a hunk has it."""
    offset = 0
    for hunk in hunks:
        # A hunk of length 0 sits after the line its header names.
        first = hunk.old_start if hunk.old_length else hunk.old_start + 1
        if old < first:
            break
        if old < first + hunk.old_length:
            return None
        offset += hunk.new_length - hunk.old_length
    return old + offset


def new_line_of(file: FileDiff | None, old: int) -> int | None:
    """Return where an old line is now, or None when it is gone. No file: nothing changed."""
    if file is None:
        return old
    for line in file.lines:
        if line.kind != "added" and line.old == old:
            return line.new if line.kind == "context" else None
    return _outside_hunks(file.hunks, old)


def old_line_of(file: FileDiff | None, new: int) -> int | None:
    """Return where a new line was, or None when it was added. No file: nothing changed."""
    if file is None:
        return new
    for line in file.lines:
        if line.kind != "removed" and line.new == new:
            return line.old if line.kind == "context" else None
    offset = sum(h.new_length - h.old_length for h in file.hunks if h.new_start < new)
    return new - offset


@dataclass(frozen=True)
class Refreshed:
    """What a push changed (old head to new, old base to new) and the new version's diff."""

    heads: list[FileDiff]
    bases: list[FileDiff]
    current: list[FileDiff]
    base_sha: str
    start_sha: str
    head_sha: str


def trace(position: Position, pushed: Refreshed) -> Position | None:
    """Follow a position to the new version of the diff; None when its line changed (outdated)."""
    new_path = _moved_path(pushed.heads, position.new_path)
    file = next((f for f in pushed.current if f.new_path == new_path), None)
    if file is None:
        return None
    moved = replace(
        position,
        base_sha=pushed.base_sha,
        start_sha=pushed.start_sha,
        head_sha=pushed.head_sha,
        old_path=file.old_path,
        new_path=file.new_path,
    )
    if position.position_type != "text":
        return moved
    if position.new_line is None:
        return _trace_removed(position, moved, file, pushed)
    changed = next((f for f in pushed.heads if f.old_path == position.new_path), None)
    new_line = new_line_of(changed, position.new_line)
    if new_line is None:
        return None
    return replace(moved, new_line=new_line, old_line=old_line_of(file, new_line))


def _moved_path(heads: list[FileDiff], path: str | None) -> str | None:
    renamed = [file.new_path for file in heads if file.renamed_file and file.old_path == path]
    return renamed[0] if renamed else path


def _trace_removed(
    position: Position, moved: Position, file: FileDiff, pushed: Refreshed
) -> Position | None:
    changed = next((f for f in pushed.bases if f.old_path == position.old_path), None)
    old_line = new_line_of(changed, position.old_line or 0)
    if old_line is None:
        return None
    still_removed = any(x.kind == "removed" and x.old == old_line for x in file.lines)
    return replace(moved, old_line=old_line) if still_removed else None
