"""`python -m services.ingest` as a child process, watched by its log lines."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.fixtures.ports import free_port
from tests.integration.ingest_world import AUTHENTIC, DOOR_SECRET, SECRET

ROOT = Path(__file__).parents[2]
SECRETS = {"GITLAB_WEBHOOK_SECRET": SECRET, "TASK_DOOR_SECRET": DOOR_SECRET}


def environment(**settings: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **settings}


async def start(settings: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.ingest",
        cwd=ROOT,
        env=environment(**settings),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )


class Ingest:
    """A running ingest; `output` is all it wrote so far."""

    def __init__(self, process: asyncio.subprocess.Process, health_port: int) -> None:
        self.process = process
        self.health = f"http://127.0.0.1:{health_port}"
        self.output = ""
        self.lines: list[dict[str, Any]] = []
        self._news = asyncio.Condition()
        self.client = aiohttp.ClientSession()

    async def read(self) -> None:
        assert self.process.stderr is not None
        async for raw in self.process.stderr:
            async with self._news:
                self.output += raw.decode()
                if raw.startswith(b"{"):
                    self.lines.append(json.loads(raw))
                self._news.notify_all()

    async def line(self, event: str, *, within: float = 20, **fields: Any) -> dict[str, Any]:
        """The first log line of this event with these fields, once it is written."""
        wanted = {"event": event, **fields}
        async with asyncio.timeout(within), self._news:
            while True:
                for found in self.lines:
                    if wanted.items() <= found.items():
                        return found
                await self._news.wait()

    async def send(self, body: Any) -> tuple[int, dict[str, str]]:
        url = (await self.line("webhook listening"))["url"]
        async with self.client.post(url, json=body, headers=AUTHENTIC) as answer:
            return answer.status, await answer.json()

    async def until(self, status: int, body: Any) -> dict[str, str]:
        """Send the hook again, as a person does by Resend, until it gets this answer."""
        async with asyncio.timeout(20):
            while True:
                found, answer = await self.send(body)
                if found == status:
                    return answer

    async def fetch(self, path: str) -> tuple[int, str]:
        async with self.client.get(self.health + path) as answer:
            return answer.status, await answer.text()

    async def stop(self) -> int:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            return await self.process.wait()


@asynccontextmanager
async def ingest(nats_url: str, **settings: str) -> AsyncIterator[Ingest]:
    health_port = free_port()
    given = {
        "GITLAB_URL": "https://gitlab.test",
        "NATS_URL": nats_url,
        "HOST": "127.0.0.1",
        "PORT": "0",
        "TASK_DOOR_PORT": "0",
        "HEALTH_PORT": str(health_port),
        **SECRETS,
        **settings,
    }
    running = Ingest(await start(given), health_port)
    reading = asyncio.create_task(running.read())
    try:
        yield running
    finally:
        await running.client.close()
        if running.process.returncode is None:
            running.process.kill()
        await running.process.wait()
        await reading
