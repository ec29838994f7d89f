from __future__ import annotations

import pytest

from libs.common.allowed import allowed, is_group, is_project


@pytest.mark.parametrize(
    ("projects", "serves"),
    [
        ((), True),
        (("42",), True),
        (("team/app",), True),
        (("/TEAM/App/",), True),
        (("1", "Team/App"), True),
        (("43",), False),
        (("team/app2",), False),
        (("team",), False),
    ],
)
def test_projects_are_served_by_id_or_by_path_in_any_case(
    projects: tuple[str, ...], *, serves: bool
) -> None:
    assert allowed(projects).serves(42, "Team/App") is serves


def test_a_project_whose_path_is_unknown_is_served_only_by_id() -> None:
    assert not allowed(("team/app",)).serves(42, "")
    assert allowed(("42",)).serves(42, "")


@pytest.mark.parametrize(
    ("projects", "groups", "serves"),
    [
        ((), ("team",), True),
        ((), ("/TEAM/",), True),
        ((), ("team/sub",), False),
        ((), ("tea",), False),
        ((), ("other",), False),
        (("42",), ("other",), True),
        (("43",), ("other",), False),
    ],
)
def test_a_group_serves_all_that_is_below_it(
    projects: tuple[str, ...], groups: tuple[str, ...], *, serves: bool
) -> None:
    assert allowed(projects, groups).serves(42, "Team/App") is serves
    assert allowed((), ("team",)).serves(43, "team/sub/app")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("team", True), ("a/b.c/d-e", True), ("42", False), ("", False), ("a b", False), ("/", False)],
)
def test_a_group_is_a_full_path(text: str, *, expected: bool) -> None:
    assert is_group(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("42", True), ("a/b/c", True), ("app", False), ("²", False), ("/", False)],
)
def test_an_entry_is_an_id_or_a_full_path(text: str, *, expected: bool) -> None:
    assert is_project(text) is expected
