"""NATS on one server or on three, to be killed and started again. Used by `world`."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from libs.common.jetstream.server import NatsServer, running_nats
from tests.integration.nats_cluster import Cluster, running_cluster


class Nats(Protocol):
    """One server or three."""

    url: str

    async def crash(self, rng: random.Random) -> None:
        """Kill one server and start it again a moment later."""
        ...


@dataclass
class OneServer:
    server: NatsServer

    @property
    def url(self) -> str:
        return self.server.url

    async def crash(self, rng: random.Random) -> None:
        await self.server.kill()
        await asyncio.sleep(rng.uniform(0, 1))
        await self.server.start()


@dataclass
class ThreeServers:
    cluster: Cluster

    @property
    def url(self) -> str:
        return self.cluster.url

    async def crash(self, rng: random.Random) -> None:
        member = rng.choice(self.cluster.members)
        await member.kill()
        await asyncio.sleep(rng.uniform(0, 2))
        await member.start()


async def nats_on(stack: contextlib.AsyncExitStack, folder: Path, nodes: int) -> Nats:
    if nodes == 1:
        return OneServer(await stack.enter_async_context(running_nats(folder)))
    return ThreeServers(await stack.enter_async_context(running_cluster(folder)))
