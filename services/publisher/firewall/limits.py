"""Cuts a cleaned text to its limit, never inside a fence (SR-31). Called by `clean`."""

from __future__ import annotations

import re
from collections.abc import Callable

_FENCE = re.compile(r"`{3,}[^`]+")
"""First line of a fence as `blocks` writes it; prose has no backticks that stay open."""


def notice(limit: int) -> str:
    return f"*Shortened: the full text was longer than {limit:,} characters.*"


def cut(pieces: list[str], limit: int, again: Callable[[str], str]) -> str:
    """As many pieces as fit, with a notice at the end.

    A piece is prose or a whole fence. The last one is shortened by lines; a fence is closed again.
    `again` cleans what is left once more: its last line may have been cut in the middle.
    """
    tail = "\n\n" + notice(limit)
    budget = limit - len(tail)
    out: list[str] = []
    for piece in pieces:
        if len(piece) > budget:
            out.append(_shorten(piece, budget))
            break
        out.append(piece)
        budget -= len(piece) + 1
    return (again("\n".join(part for part in out if part)) + tail).lstrip("\n")


def _shorten(piece: str, budget: int) -> str:
    lines = piece.split("\n")
    if _FENCE.fullmatch(lines[0]):
        room = budget - len(lines[0]) - len(lines[-1]) - 2
        body = _fitting(lines[1:-1], room) or [lines[1][: max(0, room - 1)]]
        body = [line for line in body if line] and body
        return "\n".join([lines[0], *body, lines[-1]]) if body else ""
    kept = _fitting(lines, budget)
    if not kept and budget > 0:
        return lines[0][: budget // 2]  # what was cut through may need escapes now
    return "\n".join(kept)


def _fitting(lines: list[str], budget: int) -> list[str]:
    kept = []
    for line in lines:
        budget -= len(line) + 1
        if budget < 0:
            break
        kept.append(line)
    return kept
