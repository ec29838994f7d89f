"""The session's own tools: `git_diff`, `git_show`, and the one that ends it (`submit_tool`).

Built by `review`, `coding` and `ask`, handed to `session`. Answers are bounded and show hidden
characters; they never raise, since the model could not read why.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog
from copilot import Tool, ToolInvocation, ToolResult

from libs.common.diff import Diff
from libs.common.errors import AgentError
from libs.common.events.tasks import DiffRefs
from libs.common.git import read as git
from services.runner.desk import Answer
from services.runner.pages import page
from services.runner.untrusted import show_hidden

log = structlog.get_logger()
Arguments = dict[str, Any]
_PAGE = {"type": "integer", "minimum": 1, "description": "Page of a long answer, from 1."}


class GitTools:
    """Reads one repository between two commits; `diff` holds the files of the change."""

    def __init__(self, *, folder: Path, refs: DiffRefs, diff: Diff) -> None:
        self._folder = folder
        self._base = refs.base_sha
        self._head = refs.head_sha
        self._diff = diff

    def all(self) -> list[Tool]:
        return [self._git_diff_tool(), self._git_show_tool()]

    async def git_diff(self, arguments: Arguments) -> ToolResult:
        path = str(arguments.get("path") or "")
        file = self._diff.file(path) if path else None
        if path and file is None:
            return _failure(f"{path}: this file is not in the diff")
        files = (file,) if file else self._diff.files
        paths = sorted({name for one in files for name in (one.old_path, one.new_path)})
        text = await git.diff_text(self._folder, self._base, self._head, paths)
        again = f"git_diff with path={path}, " if path else "git_diff with "
        return _success(page(show_hidden(text), _number(arguments), again=again))

    async def git_show(self, arguments: Arguments) -> ToolResult:
        path, side = str(arguments.get("path") or ""), str(arguments.get("side") or "new").lower()
        if side not in {"new", "old"}:
            return _failure("side: is 'new' or 'old'")
        revision = self._head if side == "new" else self._base
        content = await git.show(self._folder, revision, path)
        if content is None:
            return _failure(f"{path}: there is no such file on side '{side}'")
        if b"\0" in content[:8000]:
            return _failure(f"{path}: is a binary file")
        lines = content.decode("utf-8", errors="replace").split("\n")
        numbered = "\n".join(f"{n}\t{line}" for n, line in enumerate(lines, start=1))
        again = f"git_show with path={path}, side={side}, "
        return _success(page(show_hidden(numbered), _number(arguments), again=again))

    def _git_diff_tool(self) -> Tool:
        path = {"type": "string", "description": "Only this changed file; all files otherwise."}
        return _tool(
            "git_diff",
            "The merge request's diff (unified, 3 lines of context), in pages.",
            {"type": "object", "properties": {"path": path, "page": _PAGE}},
            self.git_diff,
        )

    def _git_show_tool(self) -> Tool:
        path = {"type": "string", "description": "Path in the repository."}
        side = {
            "type": "string",
            "enum": ["new", "old"],
            "description": "'new': as the merge request leaves it; 'old': as it was before.",
        }
        properties = {"path": path, "side": side, "page": _PAGE}
        return _tool(
            "git_show",
            "A whole file with line numbers, before or after the merge request, in pages.",
            {"type": "object", "properties": properties, "required": ["path", "side"]},
            self.git_show,
        )


def submit_tool(
    name: str,
    description: str,
    schema: dict[str, Any],
    submit: Callable[[Arguments], Awaitable[Answer]],
) -> Tool:
    """The tool that ends the session, once its call is accepted."""
    what = name.removeprefix("submit_")

    async def answered(arguments: Arguments) -> ToolResult:
        answer = await submit(arguments)
        log.info(f"{what} submitted" if answer.accepted else f"{what} refused")
        return _success(answer.text) if answer.accepted else _failure(answer.text)

    tool = _tool(name, description, schema, answered)
    tool.is_terminal = True
    return tool


def _tool(
    name: str,
    description: str,
    parameters: dict[str, Any],
    answer: Callable[[Arguments], Awaitable[ToolResult]],
) -> Tool:
    context = contextvars.copy_context()  # for the trace in log lines, see `session`

    async def answered(arguments: Arguments) -> ToolResult:
        try:
            return await answer(arguments)
        except AgentError as error:
            return _failure(f"{name}: {error}")

    async def handler(invocation: ToolInvocation) -> ToolResult:
        given = invocation.arguments
        arguments = given if isinstance(given, dict) else {}
        return await asyncio.create_task(answered(arguments), context=context.copy())

    return Tool(
        name=name,
        description=description,
        parameters=parameters,
        handler=handler,
        skip_permission=True,
        defer="never",
    )


def _number(arguments: Arguments) -> int:
    try:
        return int(arguments.get("page") or 1)
    except (TypeError, ValueError):
        return 1


def _success(text: str) -> ToolResult:
    return ToolResult(text_result_for_llm=text or "(empty)", result_type="success")


def _failure(text: str) -> ToolResult:
    return ToolResult(text_result_for_llm=text, result_type="failure")
