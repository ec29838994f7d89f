from __future__ import annotations

from datetime import timedelta

import pytest

from libs.common.errors import Permanent, Temporary
from libs.common.jetstream.settling import (
    ConsumerLimits,
    Dead,
    Later,
    Settlement,
    Strikes,
    after_failure,
    is_poison,
)

LIMITS = ConsumerLimits()


def settle(error: Exception, *, hours: float = 0, crashes: int = 0) -> Settlement:
    return after_failure(error, age=timedelta(hours=hours), crashes=crashes, limits=LIMITS)


def test_a_permanent_failure_is_a_dead_letter_with_its_reason() -> None:
    assert settle(Permanent("no such project")) == Dead("no such project")


def test_a_temporary_failure_waits_as_long_as_it_says() -> None:
    error = Temporary("GitLab answers 502", delay=30, peer="gitlab")
    assert settle(error) == Later(30, "GitLab answers 502", orderly=True, peer="gitlab")


def test_a_two_hour_outage_makes_no_dead_letter() -> None:
    error = Temporary("GitLab is away", peer="gitlab")
    assert isinstance(settle(error, hours=2, crashes=0), Later)


def test_a_temporary_failure_is_given_up_after_a_day() -> None:
    assert settle(Temporary("GitLab is away"), hours=24.1) == Dead(
        "gave up after 24 h: GitLab is away"
    )


def test_a_bug_waits_longer_each_time_up_to_five_minutes() -> None:
    waits = [settle(KeyError("x"), crashes=n) for n in (0, 1, 2, 20)]
    assert [later.delay for later in waits if isinstance(later, Later)] == [1, 2, 4, 300]
    assert not any(later.orderly for later in waits if isinstance(later, Later))


@pytest.mark.parametrize(("crashes", "expected"), [(0, False), (4, False), (5, True), (9, True)])
def test_a_message_is_poison_after_five_crashes(*, crashes: int, expected: bool) -> None:
    assert is_poison(crashes, LIMITS) is expected


def test_a_peer_counts_as_away_when_two_messages_fail_with_nothing_done_between() -> None:
    strikes = Strikes()
    assert [False, False, True] == [strikes.failed("gitlab", seq) for seq in (1, 1, 2)]
    strikes.done()
    assert not strikes.failed("gitlab", 2)
    assert not strikes.failed("jira", 3)
    assert strikes.failed("gitlab", 3)
