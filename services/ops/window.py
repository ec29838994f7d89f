"""Times and subject filters as people write them: pure.

Used by `dead_letters` and `replay`.
"""

from __future__ import annotations

import re
from datetime import datetime

from libs.common.errors import AgentError
from services.ops.stats import parse_since

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}|\*")


def moment(text: str, now: datetime, option: str) -> datetime:
    """`2h` (before now), or a time such as `2026-01-05T09:30`, by this machine's zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        return found if found.tzinfo else found.astimezone()
    try:
        return now - parse_since(text)
    except AgentError:
        raise AgentError(
            f"{option} {text[:30]!r} is no time; write a span such as 2h or 3d, or a time such as "
            "2026-01-05T09:30"
        ) from None


def checked_filter(text: str) -> str:
    """A NATS filter over subjects; raises `AgentError`."""
    tokens = text.split(".")
    if tokens[-1] == ">":
        tokens = tokens[:-1]
    if not text or not all(_TOKEN.fullmatch(token) for token in tokens):
        raise AgentError(
            f"{text[:60]!r} is no filter; write one such as 'mr.opened.42.>' (* is one part, > is "
            "the rest)"
        )
    return text
