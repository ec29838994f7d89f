"""A poller of a GitLab in memory that looks when it is told to."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from libs.common.allowed import allowed
from libs.common.errors import AgentError
from libs.common.gitlab.changed import Where
from libs.common.jetstream.leases import Leases
from services.ingest.hook_watch import WatchedHooks
from services.ingest.meaning import Ignored
from services.ingest.notes import Agent
from services.ingest.poller import LEASE, GitLabPoller, Ports
from services.ingest.polling import Mark, Rules
from services.ingest.translate import translate
from services.ingest.watermarks import Watermarks
from tests.fakes.clock import FakeClock
from tests.fakes.gitlab_changes import FakeChanges
from tests.fakes.kv import MemoryKeyValue
from tests.fakes.log import MemoryLog

A, B = "a" * 40, "b" * 40
SHOP = Where(group="shop")
AGENT = Agent(username="gca-bot", user_id=99)
HOOK_SECONDS = 300


class World:
    """One group, `shop`; time goes by only when told."""

    def __init__(
        self,
        *,
        places: tuple[Where, ...] = (SHOP,),
        projects: tuple[str, ...] = (),
        clock: FakeClock | None = None,
        log: MemoryLog | None = None,
    ) -> None:
        self.clock = clock or FakeClock()
        self.gitlab = FakeChanges(self.clock)
        self.log = log or MemoryLog(self.clock)
        self.locks, self.keys = MemoryKeyValue(self.clock), MemoryKeyValue(self.clock)
        self.marks = Watermarks(self.keys)
        self.hooks = WatchedHooks(HOOK_SECONDS, self.clock)
        self.agent = AGENT
        self.places = places
        self.allowed = allowed(projects)
        self.stopping = asyncio.Event()
        self.poller = self.another()

    def another(self, **changed: object) -> GitLabPoller:
        """Another replica, or this one after a restart."""
        ports = Ports(
            gitlab=self.gitlab,
            log=self.log,
            leases=Leases(self.locks, self.clock),
            marks=self.marks,
            hooks=self.hooks,
            clock=self.clock,
            agent=lambda: self.agent,
        )
        rules = Rules(**({"interval": 0.001} | changed))  # type: ignore[arg-type]  # their own
        return GitLabPoller(ports, rules, self.places, self.allowed)

    async def look(self, poller: GitLabPoller | None = None) -> AgentError | None:
        async with Leases(self.locks, self.clock).held(LEASE) as lease:
            return await (poller or self.poller).cycle(lease, self.stopping)

    async def looks(self, number: int, every: float = 30) -> None:
        for _ in range(number):
            await self.look()
            self.clock.advance(every)

    async def quiet(self) -> None:
        """Until nothing that happened so far costs a call any more."""
        await self.looks(8)
        self.gitlab.calls.clear()

    async def hook(self, body: dict[str, object]) -> None:
        """A webhook that comes, as ingest takes it."""
        self.hooks.came(body)
        meaning = translate(body, self.agent)
        assert not isinstance(meaning, Ignored), meaning.reason
        await self.log.append(
            self.poller._new(meaning)  # the source does not matter here
        )

    async def mark(self, where: Where = SHOP) -> Mark | None:
        return await self.marks.read(where)

    def subjects(self) -> list[str]:
        return [event.subject for event in self.log.events]

    def ago(self, **time: float) -> datetime:
        return self.gitlab.now() - timedelta(**time)
