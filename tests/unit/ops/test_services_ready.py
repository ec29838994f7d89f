"""`gca up` calls a service up when it can work, and not while it is still starting."""

from __future__ import annotations

import asyncio
import io

from aiohttp import web
from aiohttp.test_utils import TestServer

from services.ops.services import Service, wait_ready
from services.ops.show import Screen


def answering(*said: tuple[int, dict[str, object]]) -> tuple[web.Application, list[int]]:
    """Answers `/readyz` with each of these, then with the last for ever; and what it answered."""
    answered: list[int] = []

    async def readyz(_: web.Request) -> web.Response:
        status, body = said[min(len(answered), len(said) - 1)]
        answered.append(status)
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_get("/readyz", readyz)
    return app, answered


def service(server: TestServer, tmp_path) -> Service:
    url = str(server.make_url("")).rstrip("/")
    return Service(name="ingest", environment={}, log=tmp_path / "ingest.log", health_url=url)


async def test_a_service_that_is_still_starting_is_waited_for(tmp_path):
    app, answered = answering(
        (503, {"status": "starting"}),
        (503, {"status": "not ready", "checks": {"log": "not connected to NATS yet"}}),
        (200, {"status": "ready", "checks": {"log": "ok"}}),
    )
    async with TestServer(app) as server:
        screen = Screen(io.StringIO())
        await wait_ready([service(server, tmp_path)], screen, asyncio.Event())

    assert [503, 503, 200] == answered
