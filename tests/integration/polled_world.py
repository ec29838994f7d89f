"""A GitLab poller against the simulated GitLab and a real log, looking when it is told to.

Used by `test_gitlab_poller` and by `bench.polling`.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from libs.common.allowed import allowed
from libs.common.clock import Clock, SystemClock
from libs.common.errors import AgentError
from libs.common.gitlab.budget import Budget
from libs.common.gitlab.changed import Where
from libs.common.gitlab.client import GitLabClient
from libs.common.gitlab.server import Server
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.leases import Leases
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import LOCKS, WATERMARKS
from services.ingest.hook_watch import Unwatched
from services.ingest.notes import Agent
from services.ingest.poller import LEASE, GitLabPoller, Ports
from services.ingest.polling import Rules
from services.ingest.watermarks import Watermarks
from tests.simulators.gitlab import SimulatedGitLab, running_gitlab
from tests.simulators.gitlab.state import MergeRequest, Project

SHOP = Where(group="shop")


class World:
    """A poller that looks when it is told to, by GitLab's clock."""

    def __init__(self, gitlab: SimulatedGitLab, client: GitLabClient, nats: Connection) -> None:
        self.gitlab = gitlab
        self.log = JetStreamLog(nats)
        self.marks = Watermarks(JetStreamKeyValue(nats, WATERMARKS))
        self.leases = Leases(JetStreamKeyValue(nats, LOCKS), SystemClock())
        self.ports = Ports(
            gitlab=client,
            log=self.log,
            leases=self.leases,
            marks=self.marks,
            hooks=Unwatched(),
            clock=gitlab.world.clock,
            agent=lambda: Agent(username=gitlab.bot.username, user_id=gitlab.bot.id),
        )
        self.stopping = asyncio.Event()
        self.poller = self.another()

    def another(self, *places: Where) -> GitLabPoller:
        return GitLabPoller(self.ports, Rules(), places or (SHOP,), allowed(()))

    async def look(self, poller: GitLabPoller | None = None) -> AgentError | None:
        async with self.leases.held(LEASE, wait=5) as lease:
            return await (poller or self.poller).cycle(lease, self.stopping)

    async def calls(self) -> list[str]:
        """What one look asks GitLab."""
        before = len(self.gitlab.requests)
        assert await self.look() is None
        return [entry.path.removeprefix("/api/v4") for entry in self.gitlab.requests[before:]]

    async def subjects(self) -> list[str]:
        found = await self.log.history("mr.>", "note.>")
        return [event.subject for event in found]

    def project(self, path: str = "shop/app") -> Project:
        return self.gitlab.create_project(path)

    async def opened(self, project: Project, branch: str = "topic") -> MergeRequest:
        self.gitlab.commit(project, branch=branch, files={f"{branch}.py": "x = 1\n"})
        return await self.gitlab.open_merge_request(project, source_branch=branch)


@asynccontextmanager
async def polled_world(connection: Connection, folder: Path) -> AsyncIterator[World]:
    async with running_gitlab(folder / "gitlab") as gitlab:
        clock: Clock = gitlab.world.clock
        server = Server(url=gitlab.url, token=gitlab.read_token)
        budget = Budget(lambda: clock.now().timestamp())
        async with GitLabClient(server, workers=1, pauses=(), budget=budget) as client:
            yield World(gitlab, client, connection)


def fill(gitlab: SimulatedGitLab, like: MergeRequest, *, projects: int, open_in_each: int) -> None:
    """Projects with merge requests that have rested for long, without a repository of their own."""
    world, model = gitlab.world, like.project
    long_ago = world.clock.now() - timedelta(days=9)
    for number in range(projects):
        path = f"shop/filled-{open_in_each}-{number}"
        project = Project(world.next_id(), path, model.repository, long_ago, world)
        project.members = dict(model.members)
        for iid in range(1, open_in_each + 1):
            project.merge_requests[iid] = dataclasses.replace(
                like, id=world.next_id(), iid=iid, project=project, updated_at=long_ago, notes=[]
            )
        world.projects[project.id] = project
