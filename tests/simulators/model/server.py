"""The simulated model as an OpenAI-compatible server on loopback; state is only a log of requests.

Run by tests in process (`running_model`), by `gca up` and others as a process (`__main__`).
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from aiohttp import web

from tests.simulators.model.chat import Chat
from tests.simulators.model.modes import DEFAULT_MODE, MODES, reply_to
from tests.simulators.model.replies import Hang, Raw, Say, chunks, completion, failure

_MOST_BYTES = 64 * 1024 * 1024
_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One chat completion request that carried the right key, as a test wants to look at it."""

    model: str
    messages: tuple[dict[str, Any], ...]
    tools: tuple[str, ...]
    body: dict[str, Any]

    @property
    def system(self) -> str:
        return Chat.read(self.body).system

    @property
    def prompt(self) -> str:
        """What the user role said, without tool answers."""
        return Chat.read(self.body).prompt

    @property
    def text(self) -> str:
        """Everything that was sent: for searches after things that must not be there."""
        return json.dumps(self.body, ensure_ascii=False)


@dataclass
class SimulatedModel:
    """The server's state; `mode` is what a request for `sim-reviewer` or an unknown model gets."""

    api_key: str
    mode: str = DEFAULT_MODE
    url: str = ""
    requests: deque[RecordedRequest] = field(default_factory=lambda: deque(maxlen=_KEPT))
    refused: int = 0
    served: int = 0
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition, repr=False)

    async def wait_for_requests(self, count: int = 1) -> None:
        """Wait until so many requests came; the caller brings the time-out."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)

    def application(self) -> web.Application:
        if self.mode not in MODES:
            raise ValueError(f"SIM_MODEL_MODE is none of {', '.join(MODES)}")
        app = web.Application(client_max_size=_MOST_BYTES)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/-/sim/health", self._health)
        app.router.add_get("/-/sim/requests", self._requests)
        app.router.add_delete("/-/sim/requests", self._forget)
        return app

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        if not self._knows(request):
            return self._unknown()
        try:
            body = await request.json()
            chat = Chat.read(body)
        except ValueError as error:
            return _raw(failure(400, f"Bad request: {error}", "invalid_request_error"))
        async with self._arrived:
            self.requests.append(RecordedRequest(chat.model, chat.messages, chat.tools, body))
            self._arrived.notify_all()
        reply = reply_to(chat, default=self.mode)
        match reply:
            case Raw():
                return _raw(reply)
            case Hang():
                await asyncio.Event().wait()
                raise AssertionError("nobody sets it")
            case Say():
                self.served += 1
                return await self._say(request, chat, reply)

    async def _say(self, request: web.Request, chat: Chat, say: Say) -> web.StreamResponse:
        created = int(time.time())
        if not chat.stream:
            return web.json_response(completion(chat, say, number=self.served, created=created))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in chunks(chat, say, number=self.served, created=created):
            await response.write(chunk.encode())
        await response.write_eof()
        return response

    async def _models(self, request: web.Request) -> web.Response:
        if not self._knows(request):
            return self._unknown()
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": "simulator"} for name in MODES
        ]
        return web.json_response({"object": "list", "data": models})

    async def _health(self, _: web.Request) -> web.Response:
        counts = {"requests": len(self.requests), "refused": self.refused}
        return web.json_response({"status": "ok", "mode": self.mode, **counts})

    async def _requests(self, _: web.Request) -> web.Response:
        return web.json_response([asdict(recorded) for recorded in self.requests])

    async def _forget(self, _: web.Request) -> web.Response:
        self.requests.clear()
        return web.Response(status=204)

    def _knows(self, request: web.Request) -> bool:
        sent = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        return hmac.compare_digest(sent, f"Bearer {self.api_key}".encode())

    def _unknown(self) -> web.Response:
        self.refused += 1
        message = "Incorrect API key provided: send it as 'Authorization: Bearer <key>'."
        return _raw(failure(401, message, "invalid_request_error", "invalid_api_key"))


def _raw(reply: Raw) -> web.Response:
    kind = reply.content_type
    return web.Response(
        status=reply.status, text=reply.body, content_type=kind, headers=reply.headers
    )


@asynccontextmanager
async def running_model(
    *, api_key: str | None = None, mode: str = DEFAULT_MODE, port: int = 0
) -> AsyncIterator[SimulatedModel]:
    """Serve on loopback until the block ends; a request that hangs ends with it."""
    model = SimulatedModel(api_key or f"sim-key-{secrets.token_hex(16)}", mode)
    runner = web.AppRunner(
        model.application(), access_log=None, handler_cancellation=True, shutdown_timeout=0.5
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        model.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield model
    finally:
        await runner.cleanup()
