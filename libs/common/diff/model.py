"""What a diff consists of: files, hunks, lines. Built by `parse`, read by `locate` and callers."""

from __future__ import annotations

from typing import Literal

import msgspec

Status = Literal["added", "deleted", "modified", "renamed", "copied"]
Kind = Literal["added", "removed", "context"]

SUBMODULE_MODE = "160000"


class Line(msgspec.Struct, frozen=True):
    """One line of a hunk.

    `old` and `new` are running counters, both always set, as GitLab's diff parser keeps them
    (`old_pos` and `new_pos`): on an added line `old` is the number the next old line would have.
    `text` has no marker and no newline; a carriage return stays.
    """

    kind: Kind
    old: int
    new: int
    text: str

    @property
    def old_line(self) -> int | None:
        """Number in the old file; None on an added line."""
        return None if self.kind == "added" else self.old

    @property
    def new_line(self) -> int | None:
        """Number in the new file; None on a removed line."""
        return None if self.kind == "removed" else self.new


class Hunk(msgspec.Struct, frozen=True, kw_only=True):
    """One `@@` block; the numbers are those of its header."""

    old_start: int
    old_count: int
    new_start: int
    new_count: int
    heading: str = ""
    lines: tuple[Line, ...] = ()

    @property
    def next_old(self) -> int:
        """The first old line after the hunk (git names the line before when the count is 0)."""
        return self.old_start + (self.old_count or 1)

    @property
    def next_new(self) -> int:
        return self.new_start + (self.new_count or 1)


class FileDiff(msgspec.Struct, frozen=True, kw_only=True):
    """One changed file. Both paths are always set: GitLab wants the same path twice."""

    old_path: str
    new_path: str
    status: Status = "modified"
    binary: bool = False
    old_mode: str = ""
    new_mode: str = ""
    hunks: tuple[Hunk, ...] = ()
    added: int = 0
    removed: int = 0

    @property
    def path(self) -> str:
        """The name a person uses."""
        return self.new_path

    @property
    def submodule(self) -> bool:
        return SUBMODULE_MODE in (self.old_mode, self.new_mode)


class Diff(msgspec.Struct, frozen=True):
    """All files of one `git diff`, in its order."""

    files: tuple[FileDiff, ...] = ()

    def file(self, path: str) -> FileDiff | None:
        """By new path, else by old path.

        A change of type (file to symlink) is two entries of one path: the added one wins.
        """
        same = [f for f in self.files if f.new_path == path]
        same.sort(key=lambda f: f.status == "deleted")
        before = [f for f in self.files if f.old_path == path and f.status != "copied"]
        return next(iter(same + before), None)
