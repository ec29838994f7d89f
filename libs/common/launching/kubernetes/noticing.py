"""Notices that Jobs stand differently than the reconciler was last told. Used by `launcher`.

A change of an object means nothing by itself: most of them leave a Job as it was. So whoever
listens is called only when asking again would say that a Job ended, or is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping

import structlog

from libs.common.launching.protocol import Phase

LOOK_SECONDS = 2.0
"""How often a look is taken while there are Jobs: some end by the clock, as without an image."""
PAUSE_SECONDS = 0.05
"""Changes that come together are one."""
Phases = Mapping[str, Phase]
log = structlog.get_logger()


class Noticing:
    """`stands` says how each Job stands now, by name; `notice` is called when that is news."""

    def __init__(self, stands: Callable[[], Phases]) -> None:
        self.notice: Callable[[], None] = lambda: None
        self._stands = stands
        self._told: dict[str, Phase] = {}
        self._noticed: frozenset[str] = frozenset()
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Something may be different."""
        self._changed.set()

    def told(self, phases: Phases) -> None:
        """What the listener knows from now on."""
        self._told = dict(phases)

    def forget(self, job_name: str) -> None:
        """Its end is no news: the listener asked for it."""
        self._told.pop(job_name, None)

    async def run(self) -> None:
        """Look after each change, and now and then, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS if self._told else None):
                    await self._changed.wait()
            self._changed.clear()
            try:
                self.look()
            except Exception:
                log.exception("cannot tell how Jobs stand")
            await asyncio.sleep(PAUSE_SECONDS)

    def look(self) -> None:
        """Call `notice` when Jobs ended or went that the listener believes to run."""
        news = news_in(self._told, self._stands())
        fresh, self._noticed = news - self._noticed, news
        if fresh:
            self.notice()


def news_in(told: Phases, now: Phases) -> frozenset[str]:
    """Names of Jobs that ended, or are gone, since the listener was told. Pure."""
    ended = {name for name, phase in now.items() if phase == "exited" != told.get(name)}
    return frozenset(ended | (told.keys() - now.keys()))
