"""When the service's GitLab token expires, as a metric (SR-38); a loop of publisher and reviewer.

GitLab tells a token's owner by mail, and the owner is a bot. Operators have an alert on the metric.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from datetime import UTC, date, datetime
from typing import Protocol

import structlog

from libs.common import metrics
from libs.common.errors import AgentError, Temporary
from libs.common.gitlab.models import AccessToken

FIRST_SECONDS = 60.0
"""A service that has just started has better things to ask."""
DAY_SECONDS = 86_400.0
AGAIN_SECONDS = 3_600.0
"""After GitLab was away."""
log = structlog.get_logger()


class Tokens(Protocol):
    """GitLab, asked with the token in question; calls raise `AgentError`."""

    async def token(self) -> AccessToken: ...


class TokenExpiry:
    """Looks once a day; a look that fails is a line in the log and nothing else."""

    def __init__(self, gitlab: Tokens, *, first: float = FIRST_SECONDS) -> None:
        self._gitlab = gitlab
        self._first = first

    async def run(self, stopping: asyncio.Event) -> None:
        wait = self._first
        while not await _stopped(stopping, wait):
            wait = await self.look()

    async def look(self) -> float:
        """Set the metric; returns the seconds until the next look."""
        try:
            token = await self._gitlab.token()
        except AgentError as error:
            log.info("when the GitLab token expires is not known", why=str(error))
            return AGAIN_SECONDS if isinstance(error, Temporary) else DAY_SECONDS
        if token.expires_at is not None:
            metrics.gauge("gitlab_token_expiry_timestamp_seconds", _end(token.expires_at))
        return DAY_SECONDS


def _end(day: date) -> float:
    # GitLab: a token stops working at midnight UTC, as its expiry date begins.
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


async def _stopped(stopping: asyncio.Event, seconds: float) -> bool:
    """Whether it is time to end, within about so many seconds; replicas do not ask all at once."""
    around = seconds * random.uniform(0.8, 1.2)  # noqa: S311  spreads load, guards nothing
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), around)
    return stopping.is_set()
