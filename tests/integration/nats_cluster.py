"""Three nats-servers as one cluster, on loopback and free ports; each can be killed or paused."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from libs.common.errors import AgentError
from libs.common.jetstream.apply import apply
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.server import binary
from libs.common.jetstream.topology import LOCKS, Topology, bucket, topology
from libs.common.leash import leashed
from tests.fixtures.nats import SMALL, never_closed, remove_everything
from tests.fixtures.ports import free_port

START_SECONDS = 40


class Member:
    """One server of the cluster; its store outlives a kill."""

    def __init__(self, store: Path, number: int) -> None:
        self.store = store
        self.name = f"n{number}"
        self.port, self.route = free_port(), free_port()
        self._process: asyncio.subprocess.Process | None = None

    def configure(self, members: list[Member]) -> None:
        self.store.mkdir(parents=True, exist_ok=True)
        options = {
            "listen": f"127.0.0.1:{self.port}",
            "server_name": self.name,
            "log_file": str(self.store / "nats-server.log"),
            "jetstream": {"store_dir": str(self.store / "jetstream"), "sync_interval": "always"},
            "cluster": {
                "name": "gca-test",
                "listen": f"127.0.0.1:{self.route}",
                "routes": [f"nats://127.0.0.1:{member.route}" for member in members],
            },
        }
        (self.store / "nats-server.conf").write_text(json.dumps(options))

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *leashed([str(binary()), "-c", str(self.store / "nats-server.conf")]),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            process_group=0,
        )

    async def kill(self) -> None:
        """SIGKILL, as a crash would; killed already is no error."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            await self._process.wait()
        self._process = None


class Cluster:
    """All three; `url` names them all, so that clients go to whichever answers."""

    def __init__(self, folder: Path) -> None:
        self.members = [Member(folder / f"n{number}", number) for number in (1, 2, 3)]

    @property
    def url(self) -> str:
        return ",".join(f"nats://127.0.0.1:{member.port}" for member in self.members)

    async def start(self) -> None:
        for member in self.members:
            member.configure(self.members)
            await member.start()
        async with asyncio.timeout(START_SECONDS):
            await self.is_ready()

    async def stop(self) -> None:
        for member in self.members:
            await member.kill()

    async def is_ready(self) -> None:
        """Once the three have a leader for JetStream."""
        async with connected(self.url, name="ready", on_closed=never_closed) as connection:
            while True:
                with contextlib.suppress(AgentError):
                    await connection.api("STREAM.NAMES")
                    return
                await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def running_cluster(folder: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(folder)
    try:
        await cluster.start()
        yield cluster
    finally:
        await cluster.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def nats_cluster(tmp_path_factory) -> AsyncIterator[Cluster]:
    """Shared by all tests that kill none of it."""
    async with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest_asyncio.fixture
async def cluster_connection(nats_cluster: Cluster) -> AsyncIterator[Connection]:
    """A connection to the three with the whole topology applied, threefold, and nothing in it."""
    async with connected(nats_cluster.url, name="test", on_closed=never_closed) as connection:
        await remove_everything(connection)
        await apply(connection, topology(max_bytes=SMALL), replicas=3)
        yield connection


@pytest_asyncio.fixture
async def cluster_bucket(nats_cluster: Cluster) -> AsyncIterator[JetStreamKeyValue]:
    """The bucket of leases alone, threefold: quicker than the whole topology."""
    async with connected(nats_cluster.url, name="test", on_closed=never_closed) as connection:
        await remove_everything(connection)
        wanted = Topology(streams=(bucket(LOCKS),), durables=())
        await apply(connection, wanted, replicas=3)
        yield JetStreamKeyValue(connection, LOCKS)
