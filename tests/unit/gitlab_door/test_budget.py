"""What GitLab's headers allow, and what they never do: stop us for good."""

from __future__ import annotations

import pytest

from libs.common.gitlab.budget import Budget, asked_for
from libs.common.gitlab.errors import LONGEST_DELAY

NOW = 1_900_000_000.0
LEFT = {"ratelimit-limit": "2000", "ratelimit-reset": str(int(NOW) + 40)}


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (200, {}, 0),
        (200, LEFT | {"ratelimit-remaining": "1500"}, 0),
        (200, LEFT | {"ratelimit-remaining": "101"}, 0),
        (200, LEFT | {"ratelimit-remaining": "100"}, 40),
        (200, LEFT | {"ratelimit-remaining": "0"}, 40),
        (200, LEFT | {"ratelimit-remaining": "odd"}, 0),
        (404, LEFT | {"ratelimit-remaining": "0"}, 40),
        (429, {"retry-after": "7"}, 7),
        (429, LEFT, 40),
        (429, {}, 60),
        (429, {"retry-after": "86400"}, LONGEST_DELAY),
        (503, {"retry-after": "20"}, 20),
        (503, {}, 0),
        (500, {}, 0),
    ],
)
def test_an_answer_asks_for_a_pause(status: int, headers: dict[str, str], seconds: float) -> None:
    assert seconds == asked_for(status, headers, NOW)


def test_the_longest_pause_counts_and_ends() -> None:
    now = [NOW]
    budget = Budget(lambda: now[0])
    assert budget.wait() == 0
    budget.heard(429, {"retry-after": "30"})
    budget.heard(200, {})
    assert budget.wait() == 30
    now[0] += 31
    assert budget.wait() == 0


def test_a_clock_that_is_set_back_does_not_stop_us() -> None:
    now = [NOW]
    budget = Budget(lambda: now[0])
    budget.heard(429, {"retry-after": "30"})
    now[0] -= 86_400
    assert budget.wait() == 0
