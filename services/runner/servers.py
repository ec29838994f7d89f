"""MCP servers that the target branch asks for: found, checked, bounded (SR-12). Pure.

`gathering` reads the files, `review` starts the servers, only where the operator allows it: they
are programs that run with the rights of this process. Places and shapes are those of the Copilot
CLI: `.mcp.json`, `.github/mcp.json`, and `mcp-servers` of an agent.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from services.runner import nested

SETTING = "ALLOW_REPOSITORY_MCP_SERVERS"
MOST = 10
MOST_WORDS = 64
LONGEST_WORD = 4_000
LARGEST_FILE = 256_000
_FILES = (".mcp.json", ".github/mcp.json")
_AGENTS = re.compile(r"\.(?:github|claude)/agents/[^/]+\.md")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A program that speaks MCP on its input and output; `tools` may be `*`."""

    name: str
    command: str
    path: str
    """The file of the target branch that asks for it."""
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    tools: tuple[str, ...] = ("*",)


class Servers(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; `left_out` says in words which are not started and why."""

    found: tuple[Server, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def tools(self) -> dict[str, tuple[str, ...]]:
        """The allowed tools of each server."""
        return {server.name: server.tools for server in self.found}


def may_ask(path: str) -> bool:
    """Whether a file of this name may ask for servers."""
    return path in _FILES or _AGENTS.fullmatch(path) is not None


def order(paths: Iterable[str]) -> list[str]:
    """The files that may ask, those of the whole repository first."""
    wanted = {path for path in paths if may_ask(path)}
    return [path for path in _FILES if path in wanted] + sorted(wanted - set(_FILES))


def read(files: Iterable[tuple[str, bytes]]) -> Servers:
    """The servers of these files; of two with one name the first counts."""
    found: dict[str, Server] = {}
    left_out: list[str] = []
    for path, content in files:
        try:
            asked = _asked(path, content)
        except (ValueError, RecursionError) as error:
            left_out.append(f"{path}: cannot be read: {str(error)[:200]}")
            continue
        for name, given in asked.items():
            try:
                server = _server(path, name, given)
            except ValueError as error:
                left_out.append(f"{path}: {name[:40]!r} {error}")
                continue
            if len(found) < MOST:
                found.setdefault(name, server)
            else:
                left_out.append(f"{path}: {name!r} is one too many, {MOST} are started")
    return Servers(found=tuple(found.values()), left_out=tuple(left_out))


def options(server: Server, folder: str) -> dict[str, Any]:
    """As the SDK takes it, to be started in `folder`, which holds the target branch.

    So a server whose code is in the repository is never the merge request's version (SR-12).
    """
    return {
        "type": "local",
        "command": server.command,
        "args": list(server.args),
        "env": dict(server.env),
        "tools": list(server.tools),
        "working_directory": folder,
    }


def _asked(path: str, content: bytes) -> dict[str, Any]:
    if len(content) > LARGEST_FILE:
        raise ValueError("is too large")
    text = content.decode("utf-8")
    if path.endswith(".md"):
        asked = nested.read(_section(text.splitlines()))
    else:
        asked = json.loads(text)
        if isinstance(asked, dict) and "mcpServers" in asked:
            asked = asked["mcpServers"]
    if not isinstance(asked, dict):
        raise ValueError("names no servers")  # noqa: TRY004  one kind for all that cannot be read
    return asked


def _section(lines: list[str]) -> str:
    """What stands below `mcp-servers:` in the front matter."""
    if not lines or lines[0].rstrip() != "---":
        return ""
    front = list(itertools.takewhile(lambda line: line.rstrip() != "---", lines[1:]))
    named = [number for number, line in enumerate(front) if line.startswith("mcp-servers:")]
    if not named:
        return ""
    if front[named[0]].partition(":")[2].strip():
        raise ValueError("mcp-servers must stand on a line of its own, the servers below it")
    below = itertools.takewhile(lambda line: line[:1] in {"", " "}, front[named[0] + 1 :])
    return "\n".join(below)


def _server(path: str, name: str, given: Any) -> Server:
    if not _NAME.fullmatch(name):
        raise ValueError("is no name: letters, digits, - and _ only")
    if not isinstance(given, dict):
        raise ValueError("is no description of a server")  # noqa: TRY004  as above
    if given.get("type", "local") not in {"local", "stdio"} or "command" not in given:
        raise ValueError("is not local: only programs on input and output are started")
    env = given.get("env") or {}
    if not isinstance(env, dict) or not all(map(_VARIABLE.fullmatch, env)):
        raise ValueError("has an env that is no list of variables")
    [command] = _words([given["command"]], "command")
    return Server(
        name=name,
        path=path,
        command=command,
        args=_words(given.get("args") or [], "args"),
        env=dict(zip(env, _words(list(env.values()), "env"), strict=True)),
        tools=_words(given.get("tools", ["*"]), "tools"),
    )


def _words(given: Any, what: str) -> tuple[str, ...]:
    """Texts as they are; raises `ValueError` on anything else and on too much."""
    words = given if isinstance(given, list) else [given]
    if len(words) > MOST_WORDS:
        raise ValueError(f"has too many {what}")
    for word in words:
        if not isinstance(word, str) or len(word) > LONGEST_WORD or "\0" in word:
            raise ValueError(f"has {what} that is no text, or a too long one")
    return tuple(words)
