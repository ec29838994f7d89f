"""Ingest's two ports over real HTTP, on a log in memory; what the tests need to ask and forge."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from libs.common import subjects
from libs.common.allowed import allowed
from libs.common.errors import AgentError
from libs.common.events.envelope import NewEvent
from libs.common.events.log import EventLog
from libs.common.events.tasks import Artifact, TaskRequested
from libs.common.jetstream.artifacts import digest_of
from libs.common.launching.token import mint
from services.ingest.authentication import Keys
from services.ingest.intake import Intake
from services.ingest.notes import Agent
from services.ingest.patches import Artifacts
from services.ingest.task_door import TaskDoor
from services.ingest.webhook import Webhook
from tests.fakes.clock import FakeClock
from tests.fakes.log import MemoryLog
from tests.samples import review_request

SECRET = "hook-secret-canary"
AUTHENTIC = {"X-Gitlab-Token": SECRET, "X-Gitlab-Event": "Merge Request Hook"}
KEYS = Keys(secrets=(SECRET,))
DOOR_SECRET = "door-secret-canary-0123456789"
HEAD = "a" * 40
TASK_ID = f"review-42-7-{HEAD[:16]}-0"
TRACEPARENT = f"00-{'1' * 32}-{'2' * 16}-01"


class PlainServer(TestServer):
    """As in production: a handler is not cancelled when its client hangs up."""

    async def _make_runner(self, **options: Any) -> Any:
        return await super()._make_runner(**options | {"handler_cancellation": False})


class Hooks:
    """The webhook's port with its parts in reach."""

    def __init__(self, keys: Keys, projects: tuple[str, ...], patience: float) -> None:
        self.clock = FakeClock()
        self.log = MemoryLog(self.clock)
        self.intake = Intake(self.log, patience=patience)
        self.agent = Agent(username="gca-bot", user_id=99)
        webhook = Webhook(
            keys=keys,
            allowed=allowed(projects),
            intake=self.intake,
            clock=self.clock,
            agent=lambda: self.agent,
        )
        self.server = PlainServer(webhook.application())
        self.client = TestClient(self.server)

    async def send(
        self, body: Any, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str]]:
        """Status and JSON of the answer; bytes are sent as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = AUTHENTIC if headers is None else headers
        async with self.client.post("/webhook", data=io.BytesIO(data), headers=sent) as answer:
            return answer.status, await answer.json()

    async def raw(self, request: bytes) -> bytes:
        """The first line of the answer to bytes on a socket; the rest is never sent."""
        reader, writer = await asyncio.open_connection(self.server.host, self.server.port)
        try:
            async with asyncio.timeout(5):
                writer.write(request)
                return await reader.readline()
        finally:
            writer.close()
            await writer.wait_closed()


@asynccontextmanager
async def hooks(
    *, keys: Keys = KEYS, projects: tuple[str, ...] = (), patience: float = 5.0
) -> AsyncIterator[Hooks]:
    world = Hooks(keys, projects, patience)
    async with world.client:
        yield world


class MemoryArtifacts:
    """The object store in memory; `bodies` by name, `puts` counts what was asked.

    Each error put into `fail_next` is raised by one later call.
    """

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.fail_next: list[AgentError] = []
        self.puts = 0

    async def put(self, name: str, body: bytes) -> Artifact:
        if self.fail_next:
            raise self.fail_next.pop(0)
        self.puts += 1
        digest = digest_of(body)
        kept = Artifact(artifact=f"{name}.{digest[8:24]}", size=len(body), digest=digest)
        self.bodies[kept.artifact] = body
        return kept


class Door:
    """The task door's port, and a log that holds one review task."""

    def __init__(self, log: EventLog | None = None, artifacts: Artifacts | None = None) -> None:
        self.clock = FakeClock()
        self.memory = MemoryLog(self.clock)
        self.log = log or self.memory
        self.store = MemoryArtifacts()
        door = TaskDoor(
            secret=DOOR_SECRET,
            log=self.log,
            artifacts=artifacts or self.store,
            clock=self.clock,
        )
        self.client = TestClient(PlainServer(door.application()))

    def token(self, task_id: str = TASK_ID, *, secret: str = DOOR_SECRET, minutes: int = 45) -> str:
        return mint(secret, task_id, self.clock.now() + timedelta(minutes=minutes))

    async def request_default(self) -> None:
        await self.request(task(expires_in=self.clock))

    async def request(self, task: TaskRequested) -> None:
        await self.log.create(
            NewEvent(
                subject=subjects.task_requested(task.scope, task.ref, task.task_id),
                event=task,
                message_id=f"{task.task_id}-requested",
                source="test",
                time=self.clock.now(),
                traceparent=TRACEPARENT,
            )
        )

    async def get(self, task_id: str = TASK_ID, token: str | None = None) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self.token() if token is None else token}"}
        async with self.client.get(f"/tasks/{task_id}", headers=headers) as answer:
            return answer.status, await answer.read()

    async def post(
        self, body: bytes, task_id: str = TASK_ID, token: str | None = None
    ) -> tuple[int, dict[str, str]]:
        headers = {"Authorization": f"Bearer {self.token() if token is None else token}"}
        address = f"/tasks/{task_id}/result"
        async with self.client.post(address, data=io.BytesIO(body), headers=headers) as answer:
            return answer.status, await answer.json()

    def results(self) -> list[Any]:
        return [e for e in self.memory.events if e.subject.startswith("task.result.")]


@asynccontextmanager
async def door() -> AsyncIterator[Door]:
    world = Door()
    await world.request_default()
    async with world.client:
        yield world


def task(
    *, expires_in: FakeClock, task_id: str = TASK_ID, kind: Any = "review", title: str = "Add it"
) -> TaskRequested:
    return review_request(
        HEAD,
        task_id=task_id,
        kind=kind,
        title=title,
        expires_at=expires_in.now() + timedelta(hours=1),
    )
