"""Which commit a command is for, and which branches are covered: the pure rules."""

from __future__ import annotations

from datetime import timedelta

import pytest

from libs.common.gitlab.models import Commit, Version
from libs.common.settings import load
from libs.common.spending import MOST_KEPT, Budgets
from services.coder.pinning import alone, lag, only_ours, pinned, refs_at
from services.coder.refusing import covers
from services.coder.settings import Settings
from tests.fakes.clock import START
from tests.unit.coder.world import A, B, C, D


def version(sha: str, minute: int | None = 0) -> Version:
    at = None if minute is None else START + timedelta(minutes=minute)
    return Version(id=1, head_commit_sha=sha, base_commit_sha=D, start_commit_sha=D, created_at=at)


@pytest.mark.parametrize(
    ("minute", "expected"), [(0, A), (4, A), (5, B), (9, B), (10, C), (99, C), (-1, A)]
)
def test_the_newest_version_that_is_not_younger_than_the_note_is_meant(minute, expected):
    versions = [version(C, 10), version(B, 5), version(A, 0)]

    assert expected == pinned(versions, START + timedelta(minutes=minute)).head_commit_sha


def test_versions_without_a_time_are_never_taken_for_old_ones():
    assert A == pinned([version(B, None), version(A, None)], START).head_commit_sha
    assert pinned([], START) is None


@pytest.mark.parametrize(
    ("shas", "ours", "expected"),
    [
        ([B, A], {B}, True),
        ([C, B, A], {B, C}, True),
        ([C, B, A], {C}, False),
        ([B, A], set(), False),
        ([A], {A}, False),
        ([C, B], {B, C}, False),
        ([], {B}, False),
    ],
    ids=["ours", "both ours", "a person's below", "a person's", "none since", "rewritten", "empty"],
)
def test_only_our_own_commits_may_lie_between(shas, ours, expected):
    commits = [Commit(id=sha) for sha in shas]

    assert expected == only_ours(version(A), commits, ours)


def test_all_commits_are_since_the_pin_when_the_merge_request_had_none():
    empty = Version(id=1, head_commit_sha=A, base_commit_sha=A, start_commit_sha=A)

    assert only_ours(empty, [Commit(id=B)], {B})
    assert not only_ours(empty, [Commit(id=C), Commit(id=B)], {B})


def test_a_head_or_an_own_commit_that_gitlab_does_not_show_yet_is_a_lag():
    versions = [version(B), version(A)]

    assert not lag(B, versions, A)
    assert "head" in lag(C, versions, "")
    assert "own" in lag(B, versions, C)


def test_the_refs_of_a_head_without_a_version_are_those_of_a_lonely_commit():
    assert alone(C) == refs_at(C, [version(B)])
    assert D == refs_at(B, [version(B)]).base_sha


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("main", "main", True),
        ("main", "mainly", False),
        ("*", "any/thing", True),
        ("release/*", "release/1.0/x", True),
        ("release/*", "releases", False),
        ("*-stable", "1-stable", True),
        ("a*a", "a", False),
        ("a*b*c", "a-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("*b*", "abc", True),
        ("a.c", "abc", False),
        ("[x]", "x", False),
        ("(a+)+*$", "aaaa", False),
    ],
)
def test_a_star_is_any_letters_and_nothing_else_is_special(pattern, name, expected):
    assert expected == covers(pattern, name)


SETTINGS = {
    "GITLAB_URL": "https://gitlab.test",
    "GITLAB_READ_TOKEN": "t",
    "TASK_DOOR_SECRET": "0123456789abcdef",
    "TASK_DOOR_URL": "http://127.0.0.1:8001",
    "GITHUB_TOKEN": "t",
}


def test_budgets_are_the_settings():
    given = {
        "MAX_TASKS_PER_HOUR_PLACE": "1",
        "MAX_TASKS_PER_HOUR_USER": "2",
        "MAX_TASKS_PER_HOUR_PROJECT": "3",
        "MAX_TASKS_PER_HOUR": "4",
        "MAX_TOKENS_PER_HOUR_PROJECT": "5",
        "MAX_MINUTES_PER_HOUR_PROJECT": "6",
    }
    settings = load(Settings, SETTINGS | given)

    expected = Budgets(place=1, user=2, project=3, everywhere=4, tokens=5, minutes=6)
    assert expected == settings.budgets()
    assert Budgets() == load(Settings, dict(SETTINGS)).budgets()


def test_no_budget_is_larger_than_the_list_that_counts_it():
    counted = [name for name in Settings.model_fields if name.startswith("max_tasks_per_hour")]

    assert 4 == len(counted)
    for name in counted:
        bounds = Settings.model_fields[name].metadata
        assert MOST_KEPT >= max(getattr(bound, "le", 0) for bound in bounds), name
