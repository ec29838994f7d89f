"""Kills and faults at seeded moments: SIGKILL to everything, GitLab and Jira that answer badly."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from libs.common.errors import AgentError
from services.ops.environments import SERVICES
from tests.chaos.world import World

VICTIMS = (*SERVICES, "step", "supervisor", "nats")
MOST_PER_JOB = 1
"""A task is launched three times, and a service that dies may have counted one in vain."""
BETWEEN_CLONES = 15.0
"""Seconds between two failures of fetching."""
SOON = {"Retry-After": "1"}
DONE = {"commit": True, "status": 502, "headers": SOON}
API = "^/api/v4/"


@dataclass
class Killer:
    """Kills one of `VICTIMS` after the other, each as often, in an order of its own."""

    world: World
    rng: random.Random
    pause: tuple[float, float]
    """Least and most seconds between two kills."""
    kills: Counter[str] = field(default_factory=Counter)
    _deck: list[str] = field(default_factory=list)
    _struck: Counter[str] = field(default_factory=Counter)

    async def run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            await asyncio.sleep(self.rng.uniform(*self.pause))
            await self._strike(self._next())

    def _next(self) -> str:
        if not self._deck:
            # Jobs are many, so they die more often.
            self._deck = [*VICTIMS, "step", "supervisor"]
            self.rng.shuffle(self._deck)
        return self._deck.pop()

    async def _strike(self, victim: str) -> None:
        if victim == "nats":
            await self.world.nats.crash(self.rng)
            self.kills[victim] += 1
        elif victim in SERVICES:
            self.kills[victim] += self.world.kill(victim)
        else:
            self.kills[victim] += await self._strike_job(victim)

    async def _strike_job(self, what: str) -> bool:
        strike = self.world.kill_step if what == "step" else self.world.kill_supervisor
        for _ in range(100):
            jobs = [j for j in self.world.running_jobs() if self._struck[j.name] < MOST_PER_JOB]
            self.rng.shuffle(jobs)
            for job in jobs:
                if strike(job):
                    self._struck[job.name] += 1
                    return True
            await asyncio.sleep(0.05)
        return False


@dataclass
class Sower:
    """Orders faults of GitLab and Jira, one at a time, each for one request."""

    world: World
    rng: random.Random
    pause: tuple[float, float]
    slow: int
    """How many writes may lose their answer: each costs its service some seconds of waiting."""
    hang: bool = False
    """Whether some of these are time-outs, which take twenty seconds."""
    sown: list[Any] = field(default_factory=list)
    _clones_fail_from: float = 0.0

    async def run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            await asyncio.sleep(self.rng.uniform(*self.pause))
            self._sow()

    def struck(self) -> int:
        """How many faults have met a request."""
        return sum(fault.times < 1 for fault in self.sown)

    def sow_first(self) -> None:
        """What each run must bear: a review and a reply are there, and their writer is told no."""
        for path in (r"/draft_notes/bulk_publish$", r"/discussions/\w+/notes$"):
            self.world.gitlab.faults.add(path=path, **DONE, method="POST")

    def clear(self) -> None:
        """Let no more happen, but for what was sown first."""
        for fault in self.sown:
            fault.times = 0

    def _sow(self) -> None:
        faults = self.world.jira.faults if self.rng.random() < 0.1 else self.world.gitlab.faults
        path = API if faults is self.world.gitlab.faults else "^/rest/"
        if faults is self.world.gitlab.faults and self.rng.random() < 0.2:
            self.sown.append(faults.add(**self._of_git()))
            return
        self.sown.append(faults.add(path=path, **self._of_api()))

    def _of_api(self) -> dict[str, Any]:
        kind = self.rng.choices(("busy", "sick", "done", "lost"), (2, 3, 4, 1))[0]
        if kind == "lost" and self.slow > 0:
            self.slow -= 1
            cut = {"hang": True} if self.hang and self.rng.random() < 0.3 else {"drop": True}
            return {"method": "POST", "commit": True, **cut}
        if kind == "busy":
            return {"status": 429, "headers": SOON}
        if kind == "sick":
            return {"status": self.rng.choice((500, 502, 503)), "headers": SOON}
        method = self.rng.choice(("POST", "POST", "PUT", "DELETE"))
        return {"method": method, **DONE}

    def _of_git(self) -> dict[str, Any]:
        # A host that is away at each of a clone's few tries would rightly end its task.
        if self.rng.random() < 0.5 and time.monotonic() > self._clones_fail_from:
            self._clones_fail_from = time.monotonic() + BETWEEN_CLONES
            return {"path": r"\.git/info/refs", "status": 503}
        # The push has landed, and nobody was told.
        return {"path": r"\.git/git-receive-pack", "method": "POST", "commit": True, "status": 502}


async def until_quiet(world: World) -> None:
    """Wait until NATS answers again."""
    while True:
        try:
            await world.connection.api("STREAM.NAMES")
        except AgentError:
            await asyncio.sleep(0.2)
        else:
            return
