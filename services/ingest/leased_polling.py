"""What both pollers share: one replica polls, by lease, and what is wrong is said once.

Called by `poller` (GitLab) and `jira_poller`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

import msgspec
import structlog

from libs.common import metrics
from libs.common.errors import AgentError, Permanent, Temporary

log = structlog.get_logger()
LEASE_SECONDS = 20
"""With the pause before the next try, another replica takes over within half a minute."""
RETRY_SECONDS = 5.0
LONGEST_PAUSE = 300.0
"""Seconds between two looks while a peer is away."""
AT_ONCE = 1.0
"""Seconds until the next look when this one left something over."""


class Lease(Protocol):
    """What keeps other replicas away."""

    lost: asyncio.Event

    def valid(self) -> bool: ...


class Leases(Protocol):
    """Where the lease comes from; `Temporary` while somebody else has it."""

    def held(self, key: str, *, ttl: int) -> AbstractAsyncContextManager[Lease]: ...


class Said:
    """Troubles of polling one system: a line when one begins or ends, not one for each look."""

    def __init__(self, system: str) -> None:
        self._away, self._back = f"{system} cannot be polled", f"{system} is polled again"
        self._said = ""
        self.to_mend: str | None = None
        """What only an operator can mend, for `readyz`."""

    def say(self, outcome: str, problem: str, *, is_to_mend: bool) -> None:
        """How a look went; `problem` is empty when all is well."""
        self.to_mend = problem if is_to_mend and problem else None
        said = f"{outcome} {problem}" if is_to_mend else outcome if problem else ""
        if said == self._said:
            return
        if problem:
            log.warning(self._away, reason=problem, outcome=outcome)
        else:
            log.info(self._back)
        self._said = said


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """The system that is polled, and how its door names what an operator or time has to mend."""

    name: str
    metric: Literal["gitlab_polls", "jira_polls"]
    unauthorized: type[AgentError]
    limited: type[AgentError]

    def outcome(self, error: AgentError) -> str:
        """One word for the metric."""
        if isinstance(error, self.unauthorized):
            return "login"
        if isinstance(error, self.limited):
            return "limited"
        return "refused" if isinstance(error, Permanent) else "away"


async def looked(look: Awaitable[list[str]], peer: Peer, said: Said) -> AgentError | None:
    """One look, whose answer is the problems that stopped nothing; said and counted, not raised."""
    error: AgentError | None = None
    try:
        problems = await look
        outcome = "partly" if problems else "done"
        said.say(outcome, "; ".join(problems), is_to_mend=bool(problems))
    except AgentError as failure:
        error, outcome = failure, peer.outcome(failure)
        is_to_mend = isinstance(failure, (peer.unauthorized, Permanent))
        said.say(outcome, str(failure), is_to_mend=is_to_mend)
    except Exception:  # a mistake of ours here must not take the webhook with it
        words = f"polling {peer.name.lower()} failed"
        log.exception(words)
        error, outcome = Temporary(f"a mistake in polling {peer.name}"), "bug"
    metrics.count(peer.metric, outcome=outcome)
    return error


class Poller(Protocol):
    """One of the two pollers."""

    said: Said
    is_behind: bool
    """The last look left something over."""

    async def cycle(self, lease: Lease, stopping: asyncio.Event) -> AgentError | None:
        """One look; what went wrong is said, counted and returned, never raised."""
        ...


async def poll(
    poller: Poller, leases: Leases, key: str, *, interval: float, stopping: asyncio.Event
) -> None:
    """Wait for the lease and look at intervals under it, until `stopping`."""
    while not stopping.is_set():
        # Somebody else has it, or NATS is away: both may change.
        with contextlib.suppress(AgentError):
            async with leases.held(key, ttl=LEASE_SECONDS) as lease:
                log.info("polling", lease=key)
                await _look_again(poller, lease, interval, stopping)
        # Whoever polls now says what is to mend.
        poller.said.to_mend = None
        await rest(min(RETRY_SECONDS, interval), stopping)


async def _look_again(
    poller: Poller, lease: Lease, interval: float, stopping: asyncio.Event
) -> None:
    failures = 0
    while lease.valid() and not stopping.is_set():
        error = await poller.cycle(lease, stopping)
        away = isinstance(error, Temporary)
        failures = failures + 1 if away else 0
        delay = error.delay if isinstance(error, Temporary) else 0.0
        pause = pause_after(failures, delay, interval)
        if poller.is_behind and error is None:
            pause = min(pause, AT_ONCE)
        await rest(pause, stopping, lease.lost)


def pause_after(failures: int, delay: float, interval: float) -> float:
    """Seconds until the next look: the interval, longer while the peer is away or asks for it."""
    if not failures:
        return interval
    doubled = interval * 2.0 ** min(failures - 1, 10)
    return max(interval, delay, min(doubled, LONGEST_PAUSE))


async def rest(seconds: float, *until: asyncio.Event) -> None:
    """Pause, or less when one of the events is set."""
    waits = [asyncio.create_task(event.wait()) for event in until]
    jitter = random.uniform(0.9, 1.0)  # noqa: S311  # replicas need not move in step
    try:
        await asyncio.wait(waits, timeout=seconds * jitter, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
