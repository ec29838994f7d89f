"""SR-06: which role counts, for members, strangers, blocked accounts and expired memberships."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from libs.common.access import Levels, effective_level, role

TODAY = date(2026, 3, 1)


@pytest.mark.parametrize("level", [5, 10, 15, 20, 25, 30, 40, 50])
def test_sr06_an_active_member_has_the_role_that_gitlab_says(level):
    assert level == effective_level(level, expires_at=None, today=TODAY)
    tomorrow = TODAY + timedelta(days=1)
    assert level == effective_level(level, expires_at=tomorrow, today=TODAY)


@pytest.mark.parametrize(
    ("level", "state", "expires_at"),
    [
        (None, "active", None),
        (40, "blocked", None),
        (40, "awaiting", None),
        (40, "active", TODAY),
        (40, "active", TODAY - timedelta(days=1)),
    ],
)
def test_sr06_strangers_blocked_and_expired_members_have_no_role(level, state, expires_at):
    assert effective_level(level, state=state, expires_at=expires_at, today=TODAY) == 0


def test_each_class_of_command_needs_its_own_role():
    assert Levels().needed("read") == 20
    assert Levels().needed("write") == 30
    assert role(30) == "Developer"
    assert role(33) == "Developer"
    assert role(-1) == "Anonymous"
