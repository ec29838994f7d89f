"""GitLab's suggestion block: a change that a person can apply with one click.

Called by the publisher. Rules (GitLab, suggest changes): the block replaces the new-side lines
from `anchor - A` to `anchor + B`, A and B at most 100, and more backticks than it holds.
"""

from __future__ import annotations

import re

from libs.common.diff.locate import Refusal

MAX_LINES_EACH_WAY = 100
_BACKTICKS = re.compile(r"`{3,}")


def suggestion_fence(text: str, *, anchor_end: int, start: int, end: int) -> str | Refusal:
    """The block that replaces exactly new-side lines `start` to `end` with `text`.

    `anchor_end` is the line the note sits on: the last one of a range.
    An empty `text` removes the lines; one newline at its end is not counted as a line.
    """
    above, below = anchor_end - start, end - anchor_end
    if start > end:
        return Refusal(f"suggestion: the range {start}-{end} ends before it starts")
    if above < 0 or below < 0:
        return Refusal(
            f"suggestion: lines {start}-{end} do not contain line {anchor_end}, "
            "which the comment belongs to"
        )
    if max(above, below) > MAX_LINES_EACH_WAY:
        return Refusal(
            f"suggestion: GitLab takes at most {MAX_LINES_EACH_WAY} lines before and after "
            f"line {anchor_end}, this one has {above} and {below}"
        )
    longest = max((len(run) for run in _BACKTICKS.findall(text)), default=2)
    fence = "`" * (longest + 1)
    body = text.removesuffix("\n")
    # No line at all between the fences deletes; an empty line in between leaves one.
    middle = f"{body}\n" if text else ""
    return f"{fence}suggestion:-{above}+{below}\n{middle}{fence}"
