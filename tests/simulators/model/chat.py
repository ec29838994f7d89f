"""The body of a chat completion request, read once: what was asked, offered, called and answered.

Made by the server for each request, read by the script. Pure.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tests.simulators.model.diff import FileChange, parse_diff

_MORE = re.compile(r"^\s*\(more: call git_diff with [^)\n]*page=(\d+)[^)\n]*\)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a tool and what it answered; `answer` is None while it is missing."""

    name: str
    arguments: dict[str, Any]
    answer: str | None


@dataclass(frozen=True)
class Chat:
    """One request; raises ValueError in `Chat.read` when it is not a chat completion request."""

    model: str
    stream: bool
    messages: tuple[dict[str, Any], ...]
    tools: tuple[str, ...]

    @classmethod
    def read(cls, body: Any) -> Chat:
        if not isinstance(body, dict) or not isinstance(body.get("model"), str):
            raise ValueError("you must provide a model parameter")  # noqa: TRY004  # one kind for a bad body
        messages = body.get("messages")
        if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
            raise ValueError("'messages' must be a list of objects")
        tools = body.get("tools") or []
        names = tuple(str(tool.get("function", {}).get("name", "")) for tool in tools)
        return cls(body["model"], bool(body.get("stream")), tuple(messages), names)

    @cached_property
    def turns(self) -> int:
        return sum(message.get("role") == "assistant" for message in self.messages)

    @cached_property
    def prompt(self) -> str:
        """All text of the user role: what the caller wrote for this task."""
        return "\n".join(_text(m) for m in self.messages if m.get("role") == "user")

    @cached_property
    def system(self) -> str:
        """All text of the system (or developer) role."""
        return "\n".join(
            _text(m) for m in self.messages if m.get("role") in {"system", "developer"}
        )

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        answers = {
            str(m.get("tool_call_id")): _text(m) for m in self.messages if m.get("role") == "tool"
        }
        return tuple(
            Step(call["function"]["name"], _arguments(call), answers.get(str(call.get("id"))))
            for message in self.messages
            for call in message.get("tool_calls") or ()
        )

    def called(self, name: str) -> list[Step]:
        return [step for step in self.steps if step.name == name]

    @cached_property
    def next_page(self) -> int | None:
        """The page of the diff that was announced last, when it was not read yet."""
        steps = self.called("git_diff")
        announced = _MORE.findall(steps[-1].answer or "") if steps else []
        page = int(announced[-1]) if announced else 0
        seen = {step.arguments.get("page") for step in steps}
        return page if page and page not in seen else None

    @cached_property
    def diff(self) -> tuple[FileChange, ...]:
        """The change, from the answers of `git_diff`, else from a diff in the prompt."""
        pages = [_MORE.sub("", step.answer or "").strip("\n") for step in self.called("git_diff")]
        return parse_diff("\n".join(pages) if pages else self.prompt)


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _arguments(call: dict[str, Any]) -> dict[str, Any]:
    try:
        arguments = json.loads(call["function"].get("arguments") or "{}")
    except ValueError:
        return {}
    return arguments if isinstance(arguments, dict) else {}
