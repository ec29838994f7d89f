"""Asks before something is done; answered by a person, or by `--yes`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from libs.common.errors import AgentError

Ask = Callable[[str], str]
"""Shows a question and gives back the line that was typed; tests give their own."""


def typed(question: str) -> str:
    """A person's line; raises `AgentError` where nobody can type."""
    if not sys.stdin.isatty():
        raise AgentError(f"{question.strip()} Nobody can answer here; say --yes")
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline()


async def agreed(question: str, *, yes: bool, ask: Ask = typed) -> bool:
    """Whether to go on; anything but y or yes is a no."""
    if yes:
        return True
    return (await asyncio.to_thread(ask, f"{question} [y/N] ")).strip().lower() in {"y", "yes"}
