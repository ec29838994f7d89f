"""What requests of every kind have in common: texts cut to length, and how long a task lives.

Pure; called by the services that request tasks. Texts from people are cut here, once, so that no
event and no prompt grows without bound.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from libs.common.events.tasks import Limits

LONGEST_TITLE = 1_000
LONGEST_DESCRIPTION = 60_000
LONGEST_INSTRUCTION = 60_000
LAUNCHES = 3
"""Jobs that a task that may run gets, at most."""
SHORTEST_LIFE = timedelta(hours=6)
"""A task may wait this long for a slot before it is given up."""


def shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def expires_at(limits: Limits, now: datetime) -> datetime:
    """When a task that is requested now is given up."""
    return now + max(SHORTEST_LIFE, timedelta(seconds=4 * limits.timeout))
