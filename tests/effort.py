"""What a function costs, told without a clock on the wall: a busy machine changes nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import FrameType


def calls(work: Callable[[], object]) -> int:
    """How many functions `work` calls, built-in ones as well; the same on every run."""
    count = 0

    def seen(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def processor_seconds(work: Callable[[], object]) -> float:
    """Seconds of this thread on a processor, the least of three: for work inside one call, as of
    regular expressions. Compare two sizes with it, not one with a number.
    """
    found = []
    for _ in range(3):
        started = time.thread_time()
        work()
        found.append(time.thread_time() - started)
    return min(found)
