"""A finding's position in the shape GitLab's API wants: pure. Called by the publisher.

Rules: both paths always, also for new and deleted files; an added line has only `new_line`, a
removed one only `old_line`, a context line both (GitLab REST, discussions, `position`).
"""

from __future__ import annotations

from typing import Any

from libs.common.events.tasks import DiffRefs, Point, Position


def position_json(position: Position, diff_refs: DiffRefs) -> dict[str, Any]:
    """A text position; the note sits on the last line of a range.

    `line_range` carries only line_code and type: drafts refuse more ("must be a valid json
    schema", gitlab-org/gitlab#571619), and discussions need no more.
    """
    lines = {"old_line": position.end.old_line, "new_line": position.end.new_line}
    found: dict[str, Any] = {
        **_shas_and_paths(position, diff_refs),
        "position_type": "text",
        **{name: line for name, line in lines.items() if line is not None},
    }
    if position.start is not None:
        found["line_range"] = {"start": _point(position.start), "end": _point(position.end)}
    return found


def file_position_json(position: Position, diff_refs: DiffRefs) -> dict[str, Any]:
    """A position on the file as a whole (GitLab 16.4 and later)."""
    return {**_shas_and_paths(position, diff_refs), "position_type": "file"}


def _shas_and_paths(position: Position, diff_refs: DiffRefs) -> dict[str, Any]:
    return {
        "base_sha": diff_refs.base_sha,
        "start_sha": diff_refs.start_sha,
        "head_sha": diff_refs.head_sha,
        "old_path": position.old_path,
        "new_path": position.new_path,
    }


def _point(point: Point) -> dict[str, str]:
    return {"line_code": point.line_code, "type": "new" if point.old_line is None else "old"}
