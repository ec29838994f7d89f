"""Finds suggestion blocks in a comment, with GitLab's limits (reference section 2.4). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_LINES = 100
_FENCE = re.compile(r"^(?P<fence>`{3,}|~{3,})(?P<info>[^`\n]*)$")
_RANGE = re.compile(r"^suggestion(?::-(\d+)\+(\d+))?\s*$")


@dataclass(frozen=True)
class ParsedSuggestion:
    """Replaces from `above` lines before the note's line to `below` lines after it."""

    above: int
    below: int
    content: str


def parse_suggestions(body: str) -> list[ParsedSuggestion]:
    found: list[ParsedSuggestion] = []
    fence = info = ""
    inside: list[str] = []
    for line in body.replace("\r\n", "\n").split("\n"):
        match = _FENCE.match(line)
        if not fence:
            if match:
                fence, info, inside = match["fence"], match["info"].strip(), []
        elif match and _closes(match, fence):
            found += _suggestion(info, inside)
            fence = ""
        else:
            inside.append(line)
    return found


def _closes(match: re.Match[str], fence: str) -> bool:
    mark = match["fence"]
    return mark[0] == fence[0] and len(mark) >= len(fence) and not match["info"].strip()


def _suggestion(info: str, inside: list[str]) -> list[ParsedSuggestion]:
    match = _RANGE.match(info)
    if match is None:
        return []
    above, below = int(match[1] or 0), int(match[2] or 0)
    if max(above, below) > MAX_LINES:
        return []
    return [ParsedSuggestion(above, below, "".join(f"{line}\n" for line in inside))]
