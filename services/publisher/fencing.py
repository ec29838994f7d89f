"""A door that closes with a lease: whoever lost the lease makes no more calls through it.

Used by `ports` for the time that a merge request or issue is held. All calls are checked, reads
too, so that there is no list of writes that a new call could be missing from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

Door = TypeVar("Door")


def fenced(door: Door, check: Callable[[], None]) -> Door:
    """The same door, all of whose methods are coroutines; `check` runs right before each."""
    return cast("Door", _Fenced(door, check))


class _Fenced:
    def __init__(self, door: object, check: Callable[[], None]) -> None:
        self._door = door
        self._check = check

    def __getattr__(self, name: str) -> Any:  # any method of any door
        call = getattr(self._door, name)

        async def checked(*given: object, **named: object) -> object:
            self._check()
            return await call(*given, **named)

        return checked
