"""Unified diffs and the positions of their lines, as GitLab counts them. Pure.

Called by the runner (to check findings at once) and the publisher (to place them).
"""

from __future__ import annotations

from libs.common.diff.locate import Refusal, line_code, line_text, locate, locate_context
from libs.common.diff.model import Diff, FileDiff, Hunk, Line, Status
from libs.common.diff.parse import parse_diff
from libs.common.diff.suggestion import suggestion_fence

__all__ = [
    "Diff",
    "FileDiff",
    "Hunk",
    "Line",
    "Refusal",
    "Status",
    "line_code",
    "line_text",
    "locate",
    "locate_context",
    "parse_diff",
    "suggestion_fence",
]
