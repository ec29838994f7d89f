"""Takes the publisher's look at what is there away, to show that the proof would notice.

Not a test of the publisher: a broken publisher is what the proof is tried on. `service` does this
in the publisher's own process, and only when it is told to.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from services.publisher import handlers, issues, plan, reviews, threads

_before_first_write: ContextVar[bool] = ContextVar("before_first_write", default=False)


def put_out_its_eyes() -> None:
    """From here on each attempt believes that nothing of an earlier attempt is there."""
    publish, look = handlers.publish_review, reviews.look

    async def publish_blindly(*given: Any, **named: Any) -> None:
        _before_first_write.set(True)
        await publish(*given, **named)

    async def see_nothing_at_first(*given: Any) -> plan.Ours:
        first = _before_first_write.get()
        _before_first_write.set(False)
        return plan.Ours() if first else await look(*given)

    async def nothing(*_: Any) -> None:
        return None

    handlers.publish_review = publish_blindly
    reviews.look = see_nothing_at_first
    threads._ours = nothing
    issues._own_comment = nothing
