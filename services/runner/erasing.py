"""Takes secrets out of what the system shows as this process's environment. Called by `__main__`.

A variable that was unset still stands in `/proc/<pid>/environ` and in `ps e`, for every program of
the same user: also for those that a session starts (SR-18).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable


def erase(names: Iterable[str]) -> None:
    """Overwrite these variables' values where the system reads them.

    `os.environ` keeps its own copies, so settings can still be read from it afterwards.
    """
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_void_p
    for name in names:
        place = libc.getenv(os.fsencode(name)) if name in os.environ else None
        if place:
            ctypes.memset(place, 0, len(os.fsencode(os.environ[name])))
