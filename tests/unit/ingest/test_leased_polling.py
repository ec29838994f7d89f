"""When a poller looks again."""

from __future__ import annotations

import pytest

from services.ingest.leased_polling import LONGEST_PAUSE, pause_after


@pytest.mark.parametrize(
    ("failures", "delay", "seconds"),
    [
        (0, 0.0, 30),
        (1, 1.0, 30),
        (1, 90.0, 90),
        (2, 1.0, 60),
        (3, 1.0, 120),
        (9, 1.0, LONGEST_PAUSE),
        (10_000, 1.0, LONGEST_PAUSE),
    ],
)
def test_the_pause_grows_while_jira_is_away(failures: int, delay: float, seconds: float) -> None:
    assert pause_after(failures, delay, 30) == seconds


def test_an_interval_over_the_longest_pause_is_kept() -> None:
    assert pause_after(9, 1.0, 3600) == 3600
