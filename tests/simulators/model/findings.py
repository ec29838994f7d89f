"""What the scripted reviewer reports, as `submit_review` takes it; made by the rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Side = Literal["new", "old"]
Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """Text that replaces the new-side lines `start` to `end`, both included."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One remark; `end_line` is None for a single line."""

    file: str
    side: Side
    line: int
    severity: Severity
    comment: str
    end_line: int | None = None
    fix: Fix | None = None

    def as_arguments(self) -> dict[str, Any]:
        """Give the JSON of the `findings` items in `submit_review`'s schema."""
        fix = self.fix
        return {
            "file": self.file,
            "side": self.side,
            "line": self.line,
            "end_line": self.end_line,
            "severity": self.severity,
            "comment": self.comment,
            "suggestion": fix.text if fix else None,
            "suggestion_start": fix.start if fix else None,
            "suggestion_end": fix.end if fix else None,
        }
