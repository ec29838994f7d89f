"""From a file and a line to the position GitLab accepts, or a refusal in plain words.

Called by the runner while the model still can correct itself, and by the publisher.
Rules: an added line has only its new number, a removed line only its old one, a context line both;
both paths always (GitLab REST, discussions with position; `lib/gitlab/diff/file.rb`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from difflib import get_close_matches

import msgspec

from libs.common.diff.model import Diff, FileDiff, Hunk, Line
from libs.common.events.tasks import Point, Position, Side

_SHOWN_FILES = 10
_SHOWN_RANGES = 20


class Refusal(msgspec.Struct, frozen=True):
    """Why a place cannot be used; `message` names what can be."""

    message: str


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; `end` equals `line` for a single line."""

    file: FileDiff
    side: Side
    line: int
    end: int


def line_code(path: str, old: int, new: int) -> str:
    """GitLab's name for a line of a diff, from the running counters of both sides.

    `path` is the new path: GitLab hashes `file_path`, which is `new_path.presence || old_path`
    (`lib/gitlab/diff/file.rb`), and for a deleted file both are the same.
    """
    # SHA-1 is GitLab's choice of name here; nothing rests on its strength.
    digest = hashlib.sha1(path.encode("utf-8", "surrogateescape"), usedforsecurity=False)
    return f"{digest.hexdigest()}_{old}_{new}"


def locate(
    diff: Diff, *, file: str, side: Side, line: int, end_line: int | None = None
) -> Position | Refusal:
    """The position of lines that the diff shows."""
    place = _place(diff, file, side, (line, line if end_line is None else end_line))
    if isinstance(place, Refusal):
        return place
    start, end = _find(place, place.line), _find(place, place.end)
    if start is None or end is None:
        missing = place.line if start is None else place.end
        return Refusal(
            f"{file}: line {missing} is not in the diff on the {side} side; "
            f"lines that are: {_ranges(place.file, side)}"
        )
    if start[0] is not end[0]:
        return Refusal(
            f"{file}: lines {place.line}-{place.end} cross from one hunk of the diff into another; "
            f"a range must stay inside one of: {_ranges(place.file, side)}"
        )
    return _position(place.file, start[1], end[1])


def locate_context(
    diff: Diff, *, file: str, side: Side, line: int, end_line: int | None = None
) -> Position | Refusal:
    """As `locate`, but also for unchanged lines outside the hunks, which GitLab unfolds.

    The diff does not say how long the file is: the caller checks that the line exists.
    """
    place = _place(diff, file, side, (line, line if end_line is None else end_line))
    if isinstance(place, Refusal):
        return place
    if place.file.status in ("added", "deleted"):
        return locate(diff, file=file, side=side, line=line, end_line=end_line)
    return _position(place.file, _line_or_gap(place, place.line), _line_or_gap(place, place.end))


def line_text(diff: Diff, *, file: str, side: Side, line: int) -> str | None:
    """The text of a line that the diff shows; None when it does not."""
    place = _place(diff, file, side, (line, line))
    found = None if isinstance(place, Refusal) else _find(place, line)
    return None if found is None else found[1].text


def _place(diff: Diff, path: str, side: Side, lines: tuple[int, int]) -> _Place | Refusal:
    file = diff.file(path)
    if file is None:
        return Refusal(f"{path} is not in the diff; {_files(diff, path)}")
    if lines[0] < 1 or lines[1] < lines[0]:
        return Refusal(
            f"{path}: {lines[0]}-{lines[1]} is no range of lines; "
            "lines count from 1 and the end is not before the start"
        )
    if not file.hunks:
        return Refusal(f"{path} {_why_empty(file)}, so no line of it can be commented on")
    return _Place(file=file, side=side, line=lines[0], end=lines[1])


def _why_empty(file: FileDiff) -> str:
    if file.binary:
        return "is binary"
    return "was renamed without a change" if file.status == "renamed" else "has no changed lines"


def _files(diff: Diff, path: str) -> str:
    names = [f.path for f in diff.files]
    if not names:
        return "the diff is empty"
    if near := get_close_matches(path, names[:1000], n=3):
        return "did you mean " + " or ".join(near) + "?"
    more = len(names) - _SHOWN_FILES
    tail = f" and {more} more" if more > 0 else ""
    return "files that are: " + ", ".join(names[:_SHOWN_FILES]) + tail


def _number(line: Line, side: Side) -> int | None:
    return line.new_line if side == "new" else line.old_line


def _find(place: _Place, number: int) -> tuple[Hunk, Line] | None:
    for hunk in place.file.hunks:
        for line in hunk.lines:
            if _number(line, place.side) == number:
                return hunk, line
    return None


def _line_or_gap(place: _Place, number: int) -> Line:
    """The line itself, or the unchanged line with its number on the other side computed."""
    found = _find(place, number)
    if found is not None:
        return found[1]
    shift = 0  # old number minus new number; no shift before the first hunk
    for hunk in place.file.hunks:
        following = hunk.next_new if place.side == "new" else hunk.next_old
        if following <= number:
            shift = hunk.next_old - hunk.next_new
    old = number + shift if place.side == "new" else number
    return Line("context", old, old - shift, "")


def _position(file: FileDiff, start: Line, end: Line) -> Position:
    return Position(
        old_path=file.old_path,
        new_path=file.new_path,
        end=_point(file, end),
        start=None if start == end else _point(file, start),
    )


def _point(file: FileDiff, line: Line) -> Point:
    code = line_code(file.new_path, line.old, line.new)
    return Point(old_line=line.old_line, new_line=line.new_line, line_code=code)


def _ranges(file: FileDiff, side: Side) -> str:
    shown = [
        number
        for hunk in file.hunks
        for line in hunk.lines
        if (number := _number(line, side)) is not None
    ]
    ranges = list(_runs(shown))
    text = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges[:_SHOWN_RANGES])
    more = f" and {len(ranges) - _SHOWN_RANGES} more" if len(ranges) > _SHOWN_RANGES else ""
    return (text or "none") + more


def _runs(numbers: Iterable[int]) -> Iterable[tuple[int, int]]:
    """Ascending numbers as closed ranges."""
    first = last = None
    for number in numbers:
        if first is None or last is None:
            first = last = number
        elif number == last + 1:
            last = number
        else:
            yield first, last
            first = last = number
    if first is not None and last is not None:
        yield first, last
