"""What a push asks for, read from the first lines of its body before git gets them.

The protocol is gitprotocol-pack's reference update: commands as pkt-lines up to a flush, then
push options up to another when the client has announced them. Called by `smart_http`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .repository import ZERO_SHA

if TYPE_CHECKING:
    from aiohttp import StreamReader

_FLUSH = b"0000"


@dataclass(frozen=True)
class RefUpdate:
    """One ref from `old` to `new`; a sha of zeros creates or deletes."""

    old: str
    new: str
    ref: str

    @property
    def branch(self) -> str | None:
        prefix = "refs/heads/"
        return self.ref.removeprefix(prefix) if self.ref.startswith(prefix) else None

    @property
    def creates(self) -> bool:
        return self.old == ZERO_SHA

    @property
    def deletes(self) -> bool:
        return self.new == ZERO_SHA


@dataclass
class Push:
    """The updates and options of a push, and the bytes they were read from, for git."""

    updates: list[RefUpdate] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)


async def read(content: StreamReader) -> Push:
    """Read the head of a push; a body that ends early gives what came, git says the rest."""
    push = Push()
    capabilities: set[str] = set()
    try:
        for line in await _lines(content, push.raw):
            text, _, announced = line.partition(b"\0")
            capabilities |= set(announced.decode(errors="replace").split())
            words = text.decode(errors="replace").strip().split(" ", 2)
            if len(words) == 3:  # others are `shallow <sha>`
                push.updates.append(RefUpdate(*words))
        if "push-options" in capabilities:
            lines = await _lines(content, push.raw)
            push.options = [line.decode(errors="replace").rstrip("\n") for line in lines]
    except (asyncio.IncompleteReadError, ValueError):
        return push
    return push


async def _lines(content: StreamReader, raw: bytearray) -> list[bytes]:
    lines = []
    while (size := await _take(content, 4, raw)) != _FLUSH:
        lines.append(await _take(content, int(size, 16) - 4, raw))
    return lines


async def _take(content: StreamReader, size: int, raw: bytearray) -> bytes:
    try:
        taken = await content.readexactly(size)
    except asyncio.IncompleteReadError as error:
        raw += error.partial
        raise
    raw += taken
    return taken
