"""What the simulated model can answer, and how that looks on the wire (JSON or server-sent events).

Built by the script, rendered by the server. Pure, except that nothing here knows the time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.simulators.model.chat import Chat


@dataclass(frozen=True, slots=True)
class Call:
    """A tool that the model wants called; text as arguments is sent as it is, JSON or not."""

    name: str
    arguments: dict[str, Any] | str = field(default_factory=dict)

    @property
    def wire(self) -> str:
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@dataclass(frozen=True, slots=True)
class Say:
    """An assistant's message: text, calls, or both."""

    text: str | None = None
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class Raw:
    """A response that is no chat completion: a failure, or another server's page."""

    status: int
    body: str
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hang:
    """No response at all until the caller goes away."""


Reply = Say | Raw | Hang


def failure(status: int, message: str, kind: str, code: str | None = None) -> Raw:
    """Give an error in OpenAI's shape."""
    error = {"message": message, "type": kind, "param": None, "code": code}
    headers = {"Retry-After": "1"} if status == 429 else {}
    return Raw(status, json.dumps({"error": error}), headers=headers)


def completion(chat: Chat, say: Say, *, number: int, created: int) -> dict[str, Any]:
    """Give the body of `chat.completion`; ids of calls differ from turn to turn of one chat."""
    message: dict[str, Any] = {"role": "assistant", "content": say.text, "refusal": None}
    if say.calls:
        message["tool_calls"] = _tool_calls(chat, say)
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": "tool_calls" if say.calls else "stop",
    }
    head: dict[str, Any] = {
        "id": f"chatcmpl-sim-{number}",
        "object": "chat.completion",
        "created": created,
    }
    return {**head, "model": chat.model, "choices": [choice], "usage": usage(chat, say)}


def usage(chat: Chat, say: Say) -> dict[str, Any]:
    """Tokens at four characters each, as a rough count has it."""
    asked = len(json.dumps(chat.messages)) // 4 + 60 * len(chat.tools)
    said = (len(say.text or "") + sum(len(c.name) + len(c.wire) for c in say.calls)) // 4 + 1
    # All but the newest part of a chat that goes on would be in a real provider's cache.
    cached = asked // 2 if chat.turns else 0
    return {
        "prompt_tokens": asked,
        "completion_tokens": said,
        "total_tokens": asked + said,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def chunks(chat: Chat, say: Say, *, number: int, created: int) -> list[str]:
    """Give the same as `completion`, as the lines of an event stream."""
    head: dict[str, Any] = {
        "id": f"chatcmpl-sim-{number}",
        "object": "chat.completion.chunk",
        "created": created,
    }
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    text = say.text or ""
    deltas += [{"content": text[at : at + 400]} for at in range(0, len(text), 400)]
    deltas += [
        {"tool_calls": [{"index": at, **call}]} for at, call in enumerate(_tool_calls(chat, say))
    ]
    choices: list[dict[str, Any]] = [
        {"index": 0, "delta": delta, "finish_reason": None} for delta in deltas
    ]
    end = "tool_calls" if say.calls else "stop"
    choices.append({"index": 0, "delta": {}, "finish_reason": end})
    bodies = [{**head, "model": chat.model, "choices": [choice]} for choice in choices]
    bodies.append({**head, "model": chat.model, "choices": [], "usage": usage(chat, say)})
    return [f"data: {json.dumps(body)}\n\n" for body in bodies] + ["data: [DONE]\n\n"]


def _tool_calls(chat: Chat, say: Say) -> list[dict[str, Any]]:
    return [
        {
            "id": f"call_{chat.turns}_{at}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.wire},
        }
        for at, call in enumerate(say.calls)
    ]
