"""Read a unified diff as a tool's answer shows it; used by the rules and the script."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_ESCAPE = re.compile(r"\\([0-7]{3}|.)")
_NAMED = {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "f": 12, "v": 11}


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line of a hunk: `sign` is "+", "-" or " "; 1-based numbers, None where it is not."""

    sign: str
    old: int | None
    new: int | None
    text: str


Hunk = tuple[DiffLine, ...]


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file of the diff; a path is None where that side has no such file."""

    old_path: str | None
    new_path: str | None
    hunks: tuple[Hunk, ...]

    @property
    def path(self) -> str:
        return self.new_path or self.old_path or ""

    @property
    def renamed(self) -> bool:
        return None not in (self.old_path, self.new_path) and self.old_path != self.new_path

    def count(self, sign: str) -> int:
        return sum(line.sign == sign for hunk in self.hunks for line in hunk)


@dataclass
class _Open:
    """The file being read."""

    old_path: str | None = None
    new_path: str | None = None
    hunks: list[list[DiffLine]] = field(default_factory=list)
    old: int = 0
    new: int = 0
    old_left: int = 0
    new_left: int = 0

    def closed(self) -> FileChange:
        return FileChange(self.old_path, self.new_path, tuple(tuple(h) for h in self.hunks))


def parse_diff(text: str) -> tuple[FileChange, ...]:
    """Files in the order of the diff; words around it are skipped, several pages may be joined."""
    files: list[_Open] = []
    # Not splitlines(): a form feed or U+2028 inside a line of code does not end it for git.
    for line in text.split("\n"):
        if line.startswith("diff --git "):
            files.append(_Open())
            files[-1].old_path, files[-1].new_path = _header_paths(line)
        elif files:
            _take(files[-1], line)
    return tuple(one.closed() for one in files)


def _take(file: _Open, line: str) -> None:
    if file.old_left > 0 or file.new_left > 0:
        _take_hunk_line(file, line)
    elif match := _HUNK.match(line):
        file.old, file.new = int(match[1]), int(match[3])
        file.old_left = 1 if match[2] is None else int(match[2])
        file.new_left = 1 if match[4] is None else int(match[4])
        file.hunks.append([])
    elif line.startswith("--- "):
        file.old_path = _side(line[4:])
    elif line.startswith("+++ "):
        file.new_path = _side(line[4:])
    elif line.startswith("rename from "):
        file.old_path = _unquoted(line[12:])
    elif line.startswith("rename to "):
        file.new_path = _unquoted(line[10:])
    elif line.startswith("new file mode"):
        file.old_path = None
    elif line.startswith("deleted file mode"):
        file.new_path = None


def _take_hunk_line(file: _Open, line: str) -> None:
    sign, text = (line[0], line[1:]) if line else (" ", "")
    if sign not in "+- ":
        return
    on_old, on_new = sign in "- ", sign in "+ "
    number_old, number_new = file.old if on_old else None, file.new if on_new else None
    file.hunks[-1].append(DiffLine(sign, number_old, number_new, text))
    file.old, file.old_left = file.old + on_old, file.old_left - on_old
    file.new, file.new_left = file.new + on_new, file.new_left - on_new


def _header_paths(line: str) -> tuple[str | None, str | None]:
    """Paths of `diff --git a/x b/x`: all there is for a binary or an empty file."""
    rest = line.removeprefix("diff --git ")
    if rest.startswith('"'):
        parts = re.findall(r'"(?:[^"\\]|\\.)*"', rest)
        names = [_side(part) for part in parts]
        return (names[0], names[-1]) if names else (None, None)
    # Without a rename both names are equal, so the line splits in the middle even with spaces.
    half = (len(rest) - 1) // 2
    return _side(rest[:half]), _side(rest[half + 1 :])


def _side(name: str) -> str | None:
    name = _unquoted(name.rstrip("\t"))
    return None if name == "/dev/null" else re.sub(r"^[ab]/", "", name)


def _unquoted(name: str) -> str:
    """Undo git's C-style quotes, which hold the bytes of the name in octal."""
    if not (len(name) > 1 and name.startswith('"') and name.endswith('"')):
        return name
    raw, at, body = bytearray(), 0, name[1:-1]
    for match in _ESCAPE.finditer(body):
        raw += body[at : match.start()].encode()
        code = match[1]
        octal = len(code) == 3
        raw.append(int(code, 8) if octal else _NAMED.get(code, ord(code) & 0xFF))
        at = match.end()
    return (raw + body[at:].encode()).decode("utf-8", "replace")
