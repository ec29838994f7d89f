"""NATS away when a service starts: it says so, waits, and works once NATS is there."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import aiohttp
import pytest

from libs.common.jetstream.apply import apply
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.server import running_nats
from libs.common.jetstream.topology import topology
from tests.fixtures.nats import SMALL, never_closed
from tests.fixtures.ports import free_port
from tests.integration.ingest_process import environment

pytestmark = pytest.mark.real
ROOT = Path(__file__).parents[2]
CANARY = "glpat-canary-0123456789"
SETTINGS = {
    "reviewer": {
        "GITLAB_READ_TOKEN": CANARY,
        "TASK_DOOR_SECRET": "0123456789abcdef",
        "TASK_DOOR_URL": "http://127.0.0.1:9",
        "GITHUB_TOKEN": "ghp_canary",
    },
    "publisher": {"GITLAB_TOKEN": CANARY},
}


async def start(service: str, folder: Path, **more: str) -> Process:
    own = SETTINGS.get(service, {}) | more | {"GITLAB_URL": "http://127.0.0.1:9"}
    own |= {"TASK_STATE_DIR": str(folder / "tasks"), "CLONE_DIR": str(folder / "clones")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"services.{service}",
        cwd=ROOT,
        env=environment(**own),
        stderr=PIPE,
    )


async def said(process: Process, words: str) -> str:
    """The first line with these words."""
    assert process.stderr is not None
    async with asyncio.timeout(30):
        async for raw in process.stderr:
            if words in raw.decode():
                return raw.decode()
    raise AssertionError(f"it ended without saying {words!r}")


async def ready(port: int) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/readyz") as answer,
    ):
        return answer.status, await answer.text()


async def end(process: Process) -> int:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(30):
        await process.communicate()
    assert process.returncode is not None
    return process.returncode


@pytest.mark.parametrize("service", SETTINGS)
async def test_a_service_waits_for_nats_and_works_when_it_comes(tmp_path, service):
    nats, health = free_port(), free_port()
    process = await start(
        service, tmp_path, NATS_URL=f"nats://secret@127.0.0.1:{nats}", HEALTH_PORT=str(health)
    )
    try:
        line = await said(process, "is not reachable")
        assert "NATS_URL" in json.loads(line)["event"]
        assert "secret" not in line
        assert await ready(health) == (503, '{"status": "starting"}')

        async with running_nats(tmp_path / "nats", port=nats, token="secret") as server:
            async with connected(server.url, name="test", on_closed=never_closed) as connection:
                await apply(connection, topology(max_bytes=SMALL), replicas=1)
            await said(process, "service up")
            assert (await ready(health))[0] == 200
            assert await end(process) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.mark.parametrize("service", SETTINGS)
async def test_a_service_that_still_waits_for_nats_stops_at_once(tmp_path, service):
    url = f"nats://127.0.0.1:{free_port()}"
    process = await start(service, tmp_path, NATS_URL=url, HEALTH_PORT=str(free_port()))

    await said(process, "is not reachable")

    assert await end(process) == 0
