"""Jobs that are being ended: a slow one is waited for beside the passes, not in them.

Used by the reconciler. Ending a Job takes seconds when it does not listen, and in that time
another merge request's newer head must be seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE = 0.5
"""Seconds that a pass waits for a Job to end; most take a tenth."""


class Endings:
    """`on_end` is called when one ended that nobody waited for any more."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._running: dict[str, asyncio.Future[None]] = {}
        self._slow: set[str] = set()

    async def end(self, job_name: str, cancel: Callable[[], Awaitable[None]]) -> bool:
        """Whether the Job is gone; False while it still ends. Raises what `cancel` raised."""
        ending = self._running.get(job_name)
        if ending is None:
            ending = self._running[job_name] = asyncio.ensure_future(cancel())
            ending.add_done_callback(lambda ended: self._ended(job_name, ended))
        await asyncio.wait({ending}, timeout=PATIENCE)
        if not ending.done():
            self._slow.add(job_name)
            return False
        ending.result()
        return True

    def _ended(self, job_name: str, ending: asyncio.Future[None]) -> None:
        self._running.pop(job_name, None)
        # What went wrong with one that nobody waits for shows at the next pass: it is still there.
        failed = ending.cancelled() or ending.exception() is not None
        if job_name in self._slow:
            self._slow.discard(job_name)
            if not failed:
                self._on_end()

    async def close(self) -> None:
        """Let go of those still ending; whoever comes next finds and ends them."""
        for ending in list(self._running.values()):
            ending.cancel()
        await asyncio.gather(*list(self._running.values()), return_exceptions=True)
