"""The simulated model by raw HTTP and as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.simulators.model import SimulatedModel, running_model

ROOT = Path(__file__).resolve().parents[2]
DIFF_TOOL = {"type": "function", "function": {"name": "git_diff", "parameters": {}}}


async def ask(model: SimulatedModel, body: Any, key: str | None = None) -> tuple[int, str, str]:
    headers = {"Authorization": f"Bearer {key or model.api_key}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        data = body if isinstance(body, str) else json.dumps(body)
        async with session.post(f"{model.url}/chat/completions", data=data) as answer:
            return answer.status, answer.content_type, await answer.text()


def request(model: str = "sim-reviewer", **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Review it."}]
    return {"model": model, "messages": messages, "tools": [DIFF_TOOL], **more}


async def test_a_request_without_the_key_gets_401_in_openai_s_shape_and_is_not_recorded() -> None:
    async with running_model() as model:
        status, _, body = await ask(model, request(), key="wrong")
        assert (status, json.loads(body)["error"]["code"]) == (401, "invalid_api_key")
        assert model.api_key not in body
        assert list(model.requests) == []


async def test_a_tool_call_is_answered_in_openai_s_shape_with_usage() -> None:
    async with running_model() as model:
        status, _, text = await ask(model, request())
        body = json.loads(text)
        (choice,) = body["choices"]
        (call,) = choice["message"]["tool_calls"]
        assert (status, body["object"]) == (200, "chat.completion")
        assert choice["finish_reason"] == "tool_calls"
        assert call["function"] == {"name": "git_diff", "arguments": "{}"}
        usage = body["usage"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0
        assert (model.requests[0].prompt, model.requests[0].tools) == ("Review it.", ("git_diff",))


async def test_a_streamed_answer_says_the_same_in_chunks() -> None:
    async with running_model() as model:
        _, kind, text = await ask(model, request(stream=True))
        lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
        bodies = [json.loads(line) for line in lines[:-1]]
        deltas = [choice["delta"] for body in bodies for choice in body["choices"]]
        calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
        assert (kind, lines[-1]) == ("text/event-stream", "[DONE]")
        assert "".join(d.get("content") or "" for d in deltas) == "I will look at the change first."
        assert [call["function"]["name"] for call in calls] == ["git_diff"]


@pytest.mark.parametrize("body", ["{", "[]", '{"model": 1}', '{"model": "m", "messages": "x"}'])
async def test_a_body_that_is_no_request_gets_400(body: str) -> None:
    async with running_model() as model:
        status, _, text = await ask(model, body)
        assert (status, json.loads(text)["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    ("mode", "status", "kind"),
    [
        ("sim-http-500", 500, "application/json"),
        ("sim-http-401", 401, "application/json"),
        ("sim-http-429", 429, "application/json"),
        ("sim-html", 200, "text/html"),
        ("sim-broken-json", 200, "application/json"),
    ],
)
async def test_a_mode_fails_as_a_provider_does(mode: str, status: int, kind: str) -> None:
    async with running_model() as model:
        assert (await ask(model, request(mode)))[:2] == (status, kind)


async def test_a_model_that_hangs_ends_with_the_server() -> None:
    async with running_model() as model:
        hanging = asyncio.create_task(ask(model, request("sim-slow")))
        async with asyncio.timeout(5):
            await model.wait_for_requests()
        assert not hanging.done()
    with pytest.raises(aiohttp.ClientError):
        await hanging


async def test_the_log_of_requests_and_the_models_are_there_to_read() -> None:
    async with running_model(mode="sim-empty") as model, aiohttp.ClientSession() as session:
        await ask(model, request())
        control = model.url.removesuffix("/v1") + "/-/sim"
        async with session.get(f"{control}/requests") as answer:
            (recorded,) = await answer.json()
        async with session.get(f"{control}/health") as answer:
            health = await answer.json()
        async with session.get(f"{model.url}/models") as answer:
            assert answer.status == 401
        assert recorded["tools"] == ["git_diff"]
        assert health == {"status": "ok", "mode": "sim-empty", "requests": 1, "refused": 0}


@pytest.mark.real
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_as_a_process_it_says_where_it_is_and_stops_on_a_signal(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "tests.simulators.model", "--port", "0"]
    own = {"PATH": os.environ["PATH"], "SIM_MODEL_MODE": "obedient"}
    with subprocess.Popen(command, cwd=ROOT, env=own, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        process.send_signal(number)
        assert process.wait(10) == 0
    assert (ready["pid"], ready["url"][:17], sorted(ready)) == (
        process.pid,
        "http://127.0.0.1:",
        ["api_key", "pid", "url"],
    )
