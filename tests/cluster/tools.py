"""Programs of the cluster tests: found, and run with a time limit. Used by everything here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.machine import places

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Answer:
    """What a program said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """All of it but helm's notes on links, which the charts have by intent."""
        lines = f"{self.out}\n{self.err}".strip().splitlines()
        return "\n".join(line for line in lines if not line.startswith("walk.go:"))


def found(name: str) -> Path | None:
    """The program that `make cluster` built, else the one in PATH."""
    built = places.programs() / name
    there = str(built) if built.is_file() else shutil.which(name)
    return Path(there) if there else None


def missing(name: str) -> str:
    return f"there is no {name}: `python -m tests.cluster.machine tools {name}` builds it"


async def run(
    *command: str | Path,
    seconds: float = 60,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Answer:
    """Run it from the repository's root; fails when it takes longer than so many seconds."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=ROOT,
        env=os.environ | dict(environment or {}),
        stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate(None if stdin is None else stdin.encode())
    except TimeoutError:
        raise AssertionError(f"`{_shown(command)}` took more than {seconds} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return Answer(
        process.returncode or 0, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
    )


async def succeed(*command: str | Path, **options: object) -> str:
    """Its output; fails with all it said when it ends with another code than 0."""
    answer = await run(*command, **options)
    assert answer.code == 0, f"`{_shown(command)}` ended with {answer.code}:\n{answer.said[-4000:]}"
    return answer.out


def _shown(command: tuple[str | Path, ...]) -> str:
    return " ".join(str(part) for part in command)[:400]
