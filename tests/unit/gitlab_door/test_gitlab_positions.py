"""Positions as GitLab wants them."""

from __future__ import annotations

import pytest

from libs.common.events.tasks import DiffRefs, Point, Position
from libs.common.gitlab.positions import file_position_json, position_json

REFS = DiffRefs(base_sha="b", start_sha="s", head_sha="h")
SHAS = {"base_sha": "b", "start_sha": "s", "head_sha": "h"}
PATHS = {"old_path": "old.py", "new_path": "new.py"}


def line(old, new, code):
    return Point(old_line=old, new_line=new, line_code=code)


def at(end, start=None):
    return Position(old_path="old.py", new_path="new.py", end=end, start=start)


@pytest.mark.parametrize(
    ("end", "lines"),
    [
        (line(None, 2, "x_3_2"), {"new_line": 2}),
        (line(2, None, "x_2_2"), {"old_line": 2}),
        (line(3, 4, "x_3_4"), {"old_line": 3, "new_line": 4}),
    ],
)
def test_a_line_has_the_numbers_of_its_sides_and_always_both_paths(end, lines):
    expected = {**SHAS, **PATHS, "position_type": "text", **lines}
    assert position_json(at(end), REFS) == expected


def test_a_range_sits_on_its_last_line_and_carries_codes_and_types_only():
    position = at(line(None, 5, "x_4_5"), line(3, 4, "x_3_4"))

    assert position_json(position, REFS) == {
        **SHAS,
        **PATHS,
        "position_type": "text",
        "new_line": 5,
        "line_range": {
            "start": {"line_code": "x_3_4", "type": "old"},
            "end": {"line_code": "x_4_5", "type": "new"},
        },
    }


def test_a_file_has_no_lines():
    expected = {**SHAS, **PATHS, "position_type": "file"}
    assert file_position_json(at(line(None, 2, "x_3_2")), REFS) == expected
