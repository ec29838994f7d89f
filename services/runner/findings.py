"""Submitted findings checked against the git diff, and bounded. Pure; called by `tools`, `review`.

A refusal tells the model which lines would do (lessons: a position is computed, never believed).
"""

from __future__ import annotations

import msgspec

from libs.common.diff import Diff, FileDiff, Line, Refusal, line_text, locate
from libs.common.events.tasks import Finding, Position, Side
from services.runner.submission import SubmittedFinding, SubmittedReview

LONGEST_COMMENT = 6000
LONGEST_SUGGESTION = 8000
LONGEST_SUMMARY = 16_000
LONGEST_LINE_TEXT = 400


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one submission: placed findings, and refusals with what they were about."""

    summary: str
    placed: tuple[Finding, ...] = ()
    refused: tuple[SubmittedFinding, ...] = ()
    reasons: tuple[str, ...] = ()
    over: int = 0
    """Findings beyond the most that a review may have."""


def check(review: SubmittedReview, diff: Diff, *, most: int) -> Checked:
    """Place every finding in the diff or say why it cannot be placed."""
    placed: list[Finding] = []
    refused: list[SubmittedFinding] = []
    reasons: list[str] = []
    for submitted in review.findings[:most]:
        answer = place(submitted, diff)
        if isinstance(answer, Finding):
            placed.append(answer)
        else:
            refused.append(submitted)
            reasons.append(answer.message)
    return Checked(
        summary=review.summary[:LONGEST_SUMMARY],
        placed=tuple(placed),
        refused=tuple(refused),
        reasons=tuple(reasons),
        over=max(0, len(review.findings) - most),
    )


def place(submitted: SubmittedFinding, diff: Diff) -> Finding | Refusal:
    """The finding with its position, or a refusal that the model can use.

    Its range grows to the lines its suggestion replaces: a suggestion may only touch lines of its
    own finding (SR-29).
    """
    finding = _on_its_lines(submitted, diff)
    return _around_suggestion(finding, diff) if isinstance(finding, Finding) else finding


def insisted(submitted: SubmittedFinding, diff: Diff) -> Finding | None:
    """A finding that cannot be placed as it is: on its own lines, else for the whole file.

    None when the file is not changed.
    """
    finding = _on_its_lines(submitted, diff)
    if isinstance(finding, Finding):
        return finding
    file = _named(submitted.file, diff)
    return None if file is None else _finding(submitted, file.path, position=None, line_text="")


def _on_its_lines(submitted: SubmittedFinding, diff: Diff) -> Finding | Refusal:
    file = _named(submitted.file, diff)
    if file is None:
        return Refusal(message=f"{submitted.file}: this file is not in the diff")
    line, end = _range(submitted)
    found = locate(diff, file=file.path, side=submitted.side, line=line, end_line=end)
    if isinstance(found, Refusal):
        where = f"{file.path}:{_lines(line, end)}"
        hint = nearest(file, submitted.side, line)
        return Refusal(message=f"{where} ({submitted.side}): {found.message.rstrip('.')}. {hint}")
    text = line_text(diff, file=file.path, side=submitted.side, line=end) or ""
    return _finding(submitted, file.path, position=found, line_text=text[:LONGEST_LINE_TEXT])


def _around_suggestion(finding: Finding, diff: Diff) -> Finding | Refusal:
    """`line_text` stays that of the remark, so that its place is the same with and without."""
    first, last = finding.suggestion_start, finding.suggestion_end
    file = diff.file(finding.file)
    if first is None or last is None or file is None:
        return finding
    line, end = min(finding.line, first), max(finding.end_line, last)
    if (line, end) == (finding.line, finding.end_line):
        return finding
    found = locate(diff, file=finding.file, side="new", line=line, end_line=end)
    if isinstance(found, Refusal):
        return Refusal(
            message=f"{finding.file}:{_lines(finding.line, finding.end_line)}: its suggestion "
            f"replaces {_lines(first, last)}, which is not in one hunk with it; let the "
            "suggestion replace lines of that hunk only, or leave it out. "
            + nearest(file, "new", finding.line)
        )
    return msgspec.structs.replace(finding, line=line, end_line=end, position=found)


def nearest(file: FileDiff, side: Side, line: int) -> str:
    """Which lines would do: the closest runs of lines on that side, or the other side."""
    spans = _spans(file, side)
    if not spans:
        other: Side = "old" if side == "new" else "new"
        return f"This file has no lines on side '{side}'; use side '{other}'"
    close = sorted(spans, key=lambda span: _distance(span, line))[:3]
    words = ", ".join(_lines(first, last) for first, last in sorted(close))
    return f"Lines of side '{side}' that can be used near it: {words}"


def _spans(file: FileDiff, side: Side) -> list[tuple[int, int]]:
    spans = []
    for hunk in file.hunks:
        numbers = [number for line in hunk.lines if (number := _number(line, side)) is not None]
        if numbers:
            spans.append((min(numbers), max(numbers)))
    return spans


def _number(line: Line, side: Side) -> int | None:
    return line.new_line if side == "new" else line.old_line


def _lines(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _distance(span: tuple[int, int], line: int) -> int:
    return max(span[0] - line, line - span[1], 0)


def _named(path: str, diff: Diff) -> FileDiff | None:
    """The file, also by the ways in which models spell paths of a diff."""
    names = [path, path.removeprefix("./"), path.removeprefix("/")]
    if path.startswith(("a/", "b/")):
        names.append(path[2:])
    return next((file for name in names if (file := diff.file(name)) is not None), None)


def _range(submitted: SubmittedFinding) -> tuple[int, int]:
    end = submitted.end_line if submitted.end_line is not None else submitted.line
    return min(submitted.line, end), max(submitted.line, end)


def _finding(
    submitted: SubmittedFinding, path: str, *, position: Position | None, line_text: str
) -> Finding:
    line, end = _range(submitted)
    suggestion = _suggestion(submitted, line, end) if position is not None else None
    text, first, last = suggestion or (None, None, None)
    return Finding(
        file=path,
        side=submitted.side,
        line=line,
        end_line=end,
        severity=submitted.severity,
        comment=submitted.comment[:LONGEST_COMMENT],
        suggestion=text,
        suggestion_start=first,
        suggestion_end=last,
        position=position,
        line_text=line_text,
    )


def _suggestion(submitted: SubmittedFinding, line: int, end: int) -> tuple[str, int, int] | None:
    """Text and the new-side lines it replaces; None when it could not be applied."""
    text, first, last = submitted.suggestion, submitted.suggestion_start, submitted.suggestion_end
    first = line if first is None else first
    last = max(end, first) if last is None else last
    if text is None or submitted.side == "old" or len(text) > LONGEST_SUGGESTION:
        return None
    return (text, first, last) if 0 < first <= last else None
