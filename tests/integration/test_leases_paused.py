"""A holder that is paused past the end of its lease, or killed: on one server and on three."""

# Processes outside tell no event loop what they did; waiting is by looking.
# ruff: noqa: ASYNC110

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.common.jetstream.connection import Connection
from libs.common.jetstream.server import NatsServer
from tests.integration.nats_cluster import Cluster

pytestmark = pytest.mark.real
ROOT = Path(__file__).parents[2]
TTL = 2


@pytest.fixture(params=["one server", "three servers"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "one server":
        server: NatsServer = request.getfixturevalue("nats_server")
        connection: Connection = request.getfixturevalue("connection")
        assert connection.is_up
        return server.url
    cluster: Cluster = request.getfixturevalue("nats_cluster")
    request.getfixturevalue("cluster_connection")
    return cluster.url


@contextlib.asynccontextmanager
async def holder(url: str, name: str, file: Path) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.lease_holder", url, name, str(TTL), str(file)),
        cwd=ROOT,
        stderr=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


async def written(file: Path, line: str) -> None:
    async with asyncio.timeout(30):
        while line not in lines(file):
            await asyncio.sleep(0.02)


async def test_a_paused_holder_notices_before_its_next_effect_that_it_lost(
    url: str, tmp_path: Path
):
    file = tmp_path / "effects"
    async with holder(url, "first", file) as first:
        await written(file, "first effect")
        async with holder(url, "second", file):
            first.send_signal(signal.SIGSTOP)
            await written(file, "second effect")
            first.send_signal(signal.SIGCONT)
            await written(file, "first lost")
            async with asyncio.timeout(10):
                assert await first.wait() == 0
    effects = [line.split()[0] for line in lines(file) if line.endswith("effect")]
    assert effects == sorted(effects), "none of the first after one of the second"
    assert "second lost" not in lines(file), "the first one's release left it alone"


async def test_a_killed_holder_is_followed_when_its_lease_ran_out(url: str, tmp_path: Path):
    file = tmp_path / "effects"
    async with holder(url, "first", file) as first:
        await written(file, "first effect")
        async with holder(url, "second", file):
            first.kill()
            await written(file, "second effect")
