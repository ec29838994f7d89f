"""What a session may do, by its kind; nothing else, also not what a later CLI may bring (SR-20).

Reviews and questions read inside their folders and hand in. Coding sessions write in the clone,
too, and have a shell: what that can reach is up to the wall that they run in (`wall`), not to us.
Tools of MCP servers that the operator allowed, in reviews only, are named one by one.

Pure but for resolving links on disk; `session` asks it for each of the agent's requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

SessionKind = Literal["review", "ask", "coding"]
READING_TOOLS = ("view", "grep", "glob")
WRITING_TOOLS = ("edit", "create", "bash", "read_bash", "stop_bash", "list_bash")
OUR_READING = ("git_diff", "git_show")
SUBMITTING: Mapping[SessionKind, str] = {
    "review": "submit_review",
    "ask": "submit_answer",
    "coding": "submit_change",
}
"""The tool that ends a session of each kind."""
OUR_TOOLS = (*OUR_READING, *SUBMITTING.values())


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
    kind: SessionKind = "review"

    @classmethod
    def around(
        cls,
        *folders: Path,
        servers: Mapping[str, tuple[str, ...]] | None = None,
        kind: SessionKind = "review",
    ) -> Walls:
        """The clone comes first: it is where relative paths begin, and what may be written."""
        real = tuple(folder.resolve() for folder in folders)
        return cls(folders=real, servers=servers or {}, kind=kind)

    @property
    def ours(self) -> tuple[str, ...]:
        return (*OUR_READING, SUBMITTING[self.kind])


def available(walls: Walls) -> list[str]:
    """What the CLI offers to the model; it qualifies tools of servers as `mcp:<server>-<tool>`."""
    theirs = {
        "mcp:*" if name == "*" else f"mcp:{server}-{name}"
        for server, names in walls.servers.items()
        for name in names
    }
    writing = WRITING_TOOLS if walls.kind == "coding" else ()
    return [*READING_TOOLS, *writing, *walls.ours, *sorted(theirs)]


ALLOWED = Verdict(allowed=True)


def decide(
    kind: str, *, path: str | None, tool: str | None, walls: Walls, server: str | None = None
) -> Verdict:
    """Whether this request is allowed; `kind` is the CLI's name of it, unknown kinds are denied."""
    if kind == "read":
        return _inside(path, walls, walls.folders)
    if walls.kind == "coding" and kind == "write":
        return _inside(path, walls, walls.folders[:1])
    if walls.kind == "coding" and kind == "shell":
        return ALLOWED
    if kind == "custom-tool":
        return ALLOWED if tool in walls.ours else denied("this tool is not available here")
    if kind == "mcp":
        known = walls.servers.get(server or "", ())
        named = any(name == "*" or tool == f"{server}-{name}" for name in known)
        return ALLOWED if named else denied("this tool is not allowed here")
    return denied("this is not available here")


def denied(why: str) -> Verdict:
    return Verdict(allowed=False, why=why)


def _inside(path: str | None, walls: Walls, folders: tuple[Path, ...]) -> Verdict:
    if not path or "\0" in path:
        return denied("no path was given")
    wanted = Path(path)
    try:
        # Every link is followed first: the CLI asks with the path as the model wrote it.
        real = (walls.folders[0] / wanted).resolve()
    except (OSError, RuntimeError):
        return denied("this path cannot be followed")
    if real.is_symlink():  # a loop of links, which newer Pythons resolve to itself
        return denied("this path cannot be followed")
    for folder in folders:
        if real.is_relative_to(folder):
            inside = real.relative_to(folder)
            if any(part.lower() == ".git" for part in inside.parts[:1]):
                return denied("the .git folder is not part of this")
            return ALLOWED
    return denied("outside of the repository")
