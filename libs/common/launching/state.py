"""Files of a local Job's folder: who wrote what, read and replaced as a whole.

`job.json` is the launcher's claim, the rest is the supervisor's. No file holds a secret: steps
with their environments reach the supervisor by its stdin only (SR-37).
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TypeVar

import msgspec

JOB = "job.json"
SUPERVISOR = "supervisor.json"
STEPS = "steps.json"
EXIT = "exit.json"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A command of a Job and its whole environment, secrets included: never log or store it."""

    name: str
    argv: tuple[str, ...]
    environment: dict[str, str]

    def __repr__(self) -> str:
        return f"Step(name={self.name!r}, argv={self.argv!r})"


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor is told by stdin; `timeout` in seconds, over all steps."""

    steps: tuple[Step, ...]
    timeout: float
    grace: float = 5.0
    """Seconds between SIGTERM and SIGKILL."""
    log_limit: int = 1_000_000
    """Bytes that each step's log may grow to before its older part is dropped."""


class JobFile(msgspec.Struct, frozen=True, kw_only=True):
    """The claim on a Job's name, written once."""

    job_name: str
    task_id: str
    kind: str
    timeout: int
    launched_at: float


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A process of the Job: the supervisor itself, or the leader of a step's process group."""

    name: str
    pid: int
    started: str


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How a Job ended: `step` was the last to run, `seconds` per step that ran."""

    reason: str
    step: str = ""
    exit_code: int | None = None
    signal: int | None = None
    seconds: dict[str, float] = msgspec.field(default_factory=dict)


_T = TypeVar("_T")


def read(path: Path, kind: type[_T]) -> _T | None:
    """The file's content, or None when it is not there or not readable as `kind`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None


def write(path: Path, content: msgspec.Struct | list[Running]) -> None:
    """Replace the file: readers see the old content or the new, never a part."""
    written = _beside(path, content)
    written.replace(path)


def claim(path: Path, content: msgspec.Struct) -> bool:
    """Write the file only when it is not there; exactly one of many callers gets True."""
    written = _beside(path, content)
    try:
        os.link(written, path)
    except FileExistsError:
        return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            written.unlink()
    return True


def _beside(path: Path, content: msgspec.Struct | list[Running]) -> Path:
    written = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    written.write_bytes(msgspec.json.encode(content))
    return written
