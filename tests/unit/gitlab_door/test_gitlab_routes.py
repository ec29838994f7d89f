"""What is counted of a call names no branch and no file, so that the counters stay few."""

from __future__ import annotations

import pytest

from libs.common.gitlab.seen import template

PROJECT = "https://gitlab.test/api/v4/projects/4"


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("repository/branches/feature%2Fsecret", "repository/branches/:name"),
        ("protected_branches/release%2F%2A", "protected_branches/:name"),
        ("protected_branches?per_page=100", "protected_branches"),
        ("repository/files/d%2Fa.py/raw?ref=main", "repository/files/:name/raw"),
        ("members/all/8", "members/all/:id"),
        ("merge_requests?source_branch=secret", "merge_requests"),
    ],
)
def test_a_route_has_no_names(path, route):
    assert f"/projects/:id/{route}" == template(f"{PROJECT}/{path}")
