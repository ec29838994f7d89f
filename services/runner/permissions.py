"""What a session may do: read inside its folders, hand in its review; nothing else (SR-20).

Tools of MCP servers that the operator allowed are named one by one.

Pure but for resolving links on disk; `session` asks it for each of the agent's requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

READING_TOOLS = ("view", "grep", "glob")
OUR_TOOLS = ("git_diff", "git_show", "submit_review")
AVAILABLE_TOOLS = (*READING_TOOLS, *OUR_TOOLS)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`why` is shown to the model when it may not."""

    allowed: bool
    why: str = ""


class Walls(msgspec.Struct, frozen=True, kw_only=True):
    """The folders a session may read, with every link already followed.

    `servers` are the tools it may call of each MCP server, `*` for all of them.
    """

    folders: tuple[Path, ...]
    servers: Mapping[str, tuple[str, ...]] = {}

    @classmethod
    def around(cls, *folders: Path, servers: Mapping[str, tuple[str, ...]] | None = None) -> Walls:
        return cls(folders=tuple(folder.resolve() for folder in folders), servers=servers or {})


def available(walls: Walls) -> list[str]:
    """What the CLI offers to the model; it qualifies tools of servers as `mcp:<server>-<tool>`."""
    theirs = {
        "mcp:*" if name == "*" else f"mcp:{server}-{name}"
        for server, names in walls.servers.items()
        for name in names
    }
    return [*AVAILABLE_TOOLS, *sorted(theirs)]


ALLOWED = Verdict(allowed=True)


def decide(
    kind: str, *, path: str | None, tool: str | None, walls: Walls, server: str | None = None
) -> Verdict:
    """Whether this request is allowed; `kind` is the CLI's name of it, unknown kinds are denied."""
    if kind == "read":
        return _reading(path, walls)
    if kind == "custom-tool":
        return (
            ALLOWED
            if tool in OUR_TOOLS
            else Verdict(allowed=False, why="this tool is not available in a review")
        )
    if kind == "mcp":
        known = walls.servers.get(server or "", ())
        named = any(name == "*" or tool == f"{server}-{name}" for name in known)
        return ALLOWED if named else Verdict(allowed=False, why="this tool is not allowed here")
    return Verdict(allowed=False, why="a review only reads; this is not available")


def _reading(path: str | None, walls: Walls) -> Verdict:
    if not path or "\0" in path:
        return Verdict(allowed=False, why="no path was given")
    wanted = Path(path)
    try:
        # Every link is followed first: the CLI asks with the path as the model wrote it.
        real = (walls.folders[0] / wanted).resolve()
    except (OSError, RuntimeError):
        return Verdict(allowed=False, why="this path cannot be followed")
    if real.is_symlink():  # a loop of links, which newer Pythons resolve to itself
        return Verdict(allowed=False, why="this path cannot be followed")
    for folder in walls.folders:
        if real.is_relative_to(folder):
            inside = real.relative_to(folder)
            if any(part.lower() == ".git" for part in inside.parts[:1]):
                return Verdict(allowed=False, why="the .git folder is not part of the review")
            return ALLOWED
    return Verdict(allowed=False, why="outside of the repository under review")
