"""How a handled message is settled: pure decisions, carried out by the consumer loop."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from libs.common.errors import Permanent, Temporary, cut

_LONGEST_BACKOFF = 300.0


class ConsumerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one consumer; seconds where not said otherwise.

    `poison_after` is how often a handler may fail by a bug, or die, on one message. `backoff` is
    the first wait after a bug, doubled each time. `drain` is what handlers get at shutdown.
    """

    concurrency: int = 8
    give_up_after: timedelta = timedelta(hours=24)
    poison_after: int = 5
    backoff: float = 1.0
    drain: float = 20.0


class Done(msgspec.Struct, frozen=True, tag=True):
    """Acknowledge."""


class Later(msgspec.Struct, frozen=True, tag=True):
    """Deliver again after `delay` seconds; `orderly` when no failure of ours is to be counted."""

    delay: float
    reason: str
    orderly: bool
    peer: str | None = None


class Dead(msgspec.Struct, frozen=True, tag=True):
    """Dead letter, then never again."""

    reason: str


Settlement = Done | Later | Dead


class Strikes:
    """Tells a peer that is away from one that failed at a single message.

    A lost answer, or a page that its server cannot make, is that message's trouble: it comes again
    by itself. Two messages that fail with nothing done between them are the peer's.
    """

    def __init__(self) -> None:
        self._failed: dict[str, set[int]] = {}

    def failed(self, peer: str, seq: int) -> bool:
        """Note that the message `seq` failed at it; whether the peer counts as away now."""
        messages = self._failed.setdefault(peer, set())
        messages.add(seq)
        return len(messages) > 1

    def done(self) -> None:
        """A message was handled: whoever it needed is there."""
        self._failed.clear()


def is_poison(crashes: int, limits: ConsumerLimits) -> bool:
    """Whether the handler must not see this message again."""
    return crashes >= limits.poison_after


def after_failure(
    error: Exception, *, age: timedelta, crashes: int, limits: ConsumerLimits
) -> Settlement:
    """What a failure means; `crashes` counts earlier failures by bugs and deaths."""
    if isinstance(error, Permanent):
        return Dead(str(error))
    if isinstance(error, Temporary):
        if age > limits.give_up_after:
            hours = limits.give_up_after.total_seconds() / 3600
            return Dead(f"gave up after {hours:g} h: {error}")
        return Later(max(error.delay, 0.0), str(error), orderly=True, peer=error.peer)
    delay = min(limits.backoff * 2**crashes, _LONGEST_BACKOFF)
    return Later(delay, cut(f"{type(error).__name__}: {error}"), orderly=False)
