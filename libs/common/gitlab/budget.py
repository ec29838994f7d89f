"""How many more requests GitLab takes of us, as its last answers said; one per host and process.

Given by wiring to every connection that reads in the background; `backend` tells it each answer
from a worker thread, `connection` asks it before each read. Reference: GitLab, lib/gitlab/
rack_attack.rb (429 as text) and the application's own limits (429 as JSON).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from libs.common.gitlab.errors import LONGEST_DELAY, rate_limit_delay, retry_after

RESERVE = 0.05
"""Share of the limit that is left to others with the same token."""


class Budget:
    """Shared by threads; the latest time that an answer asks us to wait for counts."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._until = 0.0

    def heard(self, status: int, headers: Mapping[str, str]) -> None:
        """Take note of an answer; header names in lower case."""
        now = self._now()
        self._until = max(self._until, now + asked_for(status, headers, now))

    def wait(self) -> float:
        """Seconds until the next request may go, 0 when it may go now."""
        left = self._until - self._now()
        # Over the longest delay the machine's clock was set back.
        return left if 0 < left <= LONGEST_DELAY else 0.0


def asked_for(status: int, headers: Mapping[str, str], now: float) -> float:
    """Seconds that an answer asks us to wait. Pure."""
    if status == 429:
        return rate_limit_delay(headers, now)
    if status == 503:
        return retry_after(headers, now) or 0.0
    limit, left = (_number(headers.get(f"ratelimit-{name}")) for name in ("limit", "remaining"))
    if limit is None or left is None or left > limit * RESERVE:
        return 0.0
    return rate_limit_delay(headers, now)


def _number(value: str | None) -> int | None:
    return int(value) if value and value.isascii() and value.isdecimal() else None
