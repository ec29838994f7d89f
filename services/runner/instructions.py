"""What the target branch tells a reviewer: instructions, agents, skills (SR-12). Pure.

`gathering` reads the files; nothing here ever comes from the merge request's head. Symbolic
links are refused, since they could point out of the repository; MCP servers are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Literal

import msgspec

Kind = Literal["instructions", "agent", "skill"]
MAX_BYTES = 32_000
MAX_TOTAL = 128_000
MAX_PATHS = 60
_FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"^([A-Za-z][\w-]*):[ \t]*(.*)$")
REGULAR = frozenset({"100644", "100755"})

_EXACT = (".github/copilot-instructions.md", "AGENTS.md", "CLAUDE.md", ".claude/CLAUDE.md")
_PATTERNS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("instructions", re.compile(r"\.github/instructions/(?:[^/]+/)*[^/]+\.md")),
    ("agent", re.compile(r"\.(?:github|claude)/agents/[^/]+\.md")),
    ("skill", re.compile(r"\.(?:github|claude)/skills/[^/]+/SKILL\.md")),
)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the target branch worth reading."""

    path: str
    kind: Kind


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One such file: its front matter's plain fields, and its text without front matter."""

    path: str
    kind: Kind
    fields: dict[str, str]
    text: str

    @property
    def name(self) -> str:
        stem = PurePosixPath(self.path).name.removesuffix(".md").removesuffix(".agent")
        return self.fields.get("name") or (
            PurePosixPath(self.path).parent.name if self.kind == "skill" else stem
        )


def wanted(entries: Iterable[tuple[str, str]], changed: Iterable[str]) -> list[Wanted]:
    """Which of the tree's `(path, mode)` to read, root first, then folders of changed files."""
    regular = {path for path, mode in entries if mode in REGULAR}
    found = [Wanted(path=path, kind="instructions") for path in _EXACT if path in regular]
    for kind, pattern in _PATTERNS:
        found += [
            Wanted(path=path, kind=kind) for path in sorted(regular) if pattern.fullmatch(path)
        ]
    nested = {
        str(folder / name)
        for path in changed
        for folder in PurePosixPath(path).parents
        if str(folder) != "."
        for name in ("AGENTS.md", "CLAUDE.md")
    }
    found += [Wanted(path=path, kind="instructions") for path in sorted(nested & regular)]
    return found[:MAX_PATHS]


def document(wish: Wanted, content: bytes) -> Document:
    """The file read: bounded, as text, with front matter apart."""
    text = content[:MAX_BYTES].decode("utf-8", errors="replace")
    fields, body = front_matter(text)
    return Document(path=wish.path, kind=wish.kind, fields=fields, text=body.strip())


def front_matter(text: str) -> tuple[dict[str, str], str]:
    """Plain `name: value` fields at the top; nested ones, such as `mcp-servers`, are not read."""
    match = _FRONT.match(text)
    if match is None:
        return {}, text
    fields = {}
    for line in match[1].splitlines():
        field = _FIELD.match(line)
        if field is not None and field[2].strip():
            fields[field[1].lower()] = field[2].strip().strip("'\"")
    return fields, text[match.end() :]


def bounded(documents: Iterable[Document]) -> list[Document]:
    """The first ones, as far as `MAX_TOTAL` characters go."""
    kept, total = [], 0
    for one in documents:
        total += len(one.text)
        if total > MAX_TOTAL:
            break
        kept.append(one)
    return kept


def rendered(documents: Iterable[Document]) -> str:
    """Instructions for the system message; agents and skills are named, and read on demand."""
    parts = []
    for one in documents:
        if one.kind == "instructions":
            applies = one.fields.get("applyto", "")
            scope = f" (applies to files matching: {applies})" if applies else _folder(one.path)
            parts.append(f"## {one.path}{scope}\n{one.text}")
    return "\n\n".join(parts)


def _folder(path: str) -> str:
    folder = str(PurePosixPath(path).parent)
    return "" if folder in {".", ".github", ".claude"} else f" (applies to files below {folder}/)"
