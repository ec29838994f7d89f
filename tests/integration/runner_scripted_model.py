"""A model that calls the tools it is told to, then hands in what they answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.simulators.model.chat import Chat
from tests.simulators.model.replies import Call, Say, completion


@dataclass
class ScriptedModel:
    """`calls` are made one a turn; what each answered is the result's summary, a line each."""

    calls: Sequence[Call]
    api_key: str
    url: str = ""
    offered: list[tuple[str, ...]] = field(default_factory=list)
    texts: list[dict[str, Any]] = field(default_factory=list)

    async def _chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        chat = Chat.read(body)
        self.offered.append(chat.tools)
        self.texts.append(body)
        done = len(chat.steps)
        call = self.calls[done] if done < len(self.calls) else _hand_in(chat)
        answer = completion(chat, Say(None, (call,)), number=len(self.offered), created=1)
        return web.json_response(answer)


def _hand_in(chat: Chat) -> Call:
    told = "\n".join(f"{step.name} -> {step.answer}" for step in chat.steps)
    if "submit_change" in chat.tools:
        return Call("submit_change", {"summary": told, "nothing_to_do": True})
    if "submit_answer" in chat.tools:
        return Call("submit_answer", {"answer": told})
    return Call("submit_review", {"summary": told, "findings": []})


@asynccontextmanager
async def scripted_model(*calls: Call, api_key: str) -> AsyncIterator[ScriptedModel]:
    model = ScriptedModel(calls, api_key)
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/chat/completions", model._chat)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        model.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield model
    finally:
        await runner.cleanup()
