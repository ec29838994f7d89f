"""`suggestion_fence`: the offsets count from the line the note sits on (behaviour 40)."""

from __future__ import annotations

import pytest

from libs.common.diff import Refusal, suggestion_fence


@pytest.mark.parametrize(
    ("text", "anchor", "start", "end", "expected"),
    [
        ("x = 1", 5, 5, 5, "```suggestion:-0+0\nx = 1\n```"),
        ("a\nb\n", 5, 3, 5, "```suggestion:-2+0\na\nb\n```"),
        ("a", 5, 4, 7, "```suggestion:-1+2\na\n```"),
        ("", 5, 5, 5, "```suggestion:-0+0\n```"),
        ("\n", 5, 5, 5, "```suggestion:-0+0\n\n```"),
        ("```py\n````\n```", 5, 5, 5, "`````suggestion:-0+0\n```py\n````\n```\n`````"),
        ("a", 101, 1, 201, "```suggestion:-100+100\na\n```"),
    ],
)
def test_the_block_replaces_exactly_the_range(text, anchor, start, end, expected):
    assert expected == suggestion_fence(text, anchor_end=anchor, start=start, end=end)


@pytest.mark.parametrize(
    ("anchor", "start", "end"), [(102, 1, 102), (1, 1, 102), (5, 6, 7), (5, 3, 4), (5, 6, 4)]
)
def test_a_range_gitlab_would_not_take_is_refused(anchor, start, end):
    assert isinstance(suggestion_fence("a", anchor_end=anchor, start=start, end=end), Refusal)
