"""A task door of one task: gives its spec to who has the token, takes one result."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
from aiohttp import web

from libs.common.events.tasks import Echoed, TaskRequested, TaskResult


@dataclass
class FakeTaskDoor:
    """`results` are those taken; `moods` are statuses to answer instead, one request each."""

    spec: TaskRequested
    token: str = "task-token"
    url: str = ""
    results: list[TaskResult | Echoed] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    moods: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    ended: bool = False
    """Someone else handed in a result for this task."""

    def application(self) -> web.Application:
        app = web.Application(client_max_size=8 * 1024 * 1024)
        app.router.add_get("/tasks/{task_id}", self._give)
        app.router.add_post("/tasks/{task_id}/result", self._take)
        return app

    async def _give(self, request: web.Request) -> web.Response:
        if refusal := self._refusal(request):
            return refusal
        return web.Response(body=msgspec.json.encode(self.spec), content_type="application/json")

    async def _take(self, request: web.Request) -> web.Response:
        if refusal := self._refusal(request):
            return refusal
        body = await request.read()
        if self.ended or (self.bodies and body != self.bodies[-1]):
            return web.Response(status=409, text="this task has ended")
        result = msgspec.json.decode(body, type=TaskResult | Echoed)
        if (result.task_id, result.head_sha) != (self.spec.task_id, self.spec.head_sha):
            return web.Response(status=409, text="a result of another task")
        self.bodies.append(body)
        self.results.append(result)
        return web.Response(status=200)

    def _refusal(self, request: web.Request) -> web.Response | None:
        self.asked.append(request.method)
        if self.moods:
            status = self.moods.pop(0)
            headers = {"Location": "http://127.0.0.1:9/elsewhere"} if 300 <= status < 400 else {}
            return web.Response(status=status, text="in a mood", headers=headers)
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401, text="who are you?")
        if request.match_info["task_id"] != self.spec.task_id:
            return web.Response(status=404)
        return None


@asynccontextmanager
async def running_task_door(spec: TaskRequested) -> AsyncIterator[FakeTaskDoor]:
    """Serve on loopback until the block ends."""
    door = FakeTaskDoor(spec)
    runner = web.AppRunner(door.application(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        door.url = f"http://127.0.0.1:{runner.addresses[0][1]}/tasks/{spec.task_id}"
        yield door
    finally:
        await runner.cleanup()
