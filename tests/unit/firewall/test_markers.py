"""SR-28: our markers are read back from lines of their own, and nothing else is one."""

from __future__ import annotations

import pytest

from services.publisher.firewall import one_line_code
from services.publisher.markers import Marker, marker, read_markers


def test_a_marker_is_read_back():
    mark = marker("review-42-7-0123abcd-0", "abc-def")

    assert (Marker("review-42-7-0123abcd-0", "abc-def"),) == read_markers(f"text\r\n\r\n{mark}\r\n")


@pytest.mark.parametrize("value", ["a b", "a-->", "", "a\nb", "x" * 300])
def test_odd_characters_are_refused(value):
    with pytest.raises(ValueError, match="marker"):
        marker(value, "x")


@pytest.mark.parametrize("before", ["x ", "> ", "`", "\\"])
def test_a_marker_inside_a_line_is_none_sr_28(before):
    assert () == read_markers(before + marker("t", "i"))


def test_a_file_name_cannot_forge_a_marker_sr_28():
    assert () == read_markers(one_line_code(f"a\n{marker('t', 'i')}\nb"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a`b", "``a`b``"), ("`", "`` ` ``"), ("a\n/close", "`a /close`"), ("", "`?`")],
)
def test_a_name_stays_inside_its_backticks_and_line_sr_24(name, expected):
    assert expected == one_line_code(name)
