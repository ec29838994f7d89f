"""The wall around a session with a shell where the Job is a pod of its own (SR-18).

The container is most of that wall: no other files, no rights, no other task. What is left in it are
two processes that know the model's key, the runner and the CLI, and the session's shell runs as the
same user. So both are made not dumpable: then the kernel gives their memory, environment and open
files in /proc to nobody without capabilities, and lets nobody trace them (proc(5), ptrace(2)). The
runner asks for that itself. The CLI cannot be asked: there the kernel does it for whatever program
its user may execute but not read (execve(2)), as the image's CLI is, mode 0711 of root.

Called by `__main__` (`hide`) and `coding` (`problem`).
"""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path

import msgspec

PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4
STATUS = Path("/proc/self/status")
_LINE = re.compile(r"^(CapEff|NoNewPrivs):\s*([0-9a-f]+)$", re.MULTILINE)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What counts of the place where a session is to run."""

    user: int
    hidden: bool
    """Whether this process keeps its memory to itself."""
    capabilities: int
    may_gain: bool
    """Whether a set-user-id program would give its starter more rights."""
    cli: Path
    cli_owner: int
    cli_readable: bool
    cli_starts: bool


def hide() -> None:
    """Keep this process's memory, environment and open files from others of the same user."""
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def problem(cli: Path) -> str:
    """Why a session with a shell is not safe here, empty when it is; reads the file system."""
    return lacking(_look(cli))


def lacking(place: Place) -> str:
    """What this place lacks of a wall, in words that name what to mend."""
    if place.user == 0 or place.capabilities:
        return "the container runs as root or with capabilities: set runAsNonRoot and drop ALL"
    if place.may_gain:
        return "the container may gain rights: set allowPrivilegeEscalation to false"
    if not place.hidden:
        return "the kernel did not hide the runner's memory (prctl PR_SET_DUMPABLE)"
    if not place.cli_starts:
        return f"the Copilot CLI {place.cli} may not be started by user {place.user}"
    if place.cli_readable or place.cli_owner == place.user:
        return (
            f"the Copilot CLI {place.cli} may be read by user {place.user}, and then so may the "
            "memory of a session: it has to belong to root with mode 0711, as in the runner's image"
        )
    return ""


def _look(cli: Path) -> Place:
    status = dict(_LINE.findall(STATUS.read_text(encoding="utf-8")))
    starts = os.access(cli, os.X_OK)
    return Place(
        user=os.geteuid(),
        hidden=ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0,
        capabilities=int(status.get("CapEff", "f"), 16),
        may_gain=status.get("NoNewPrivs") != "1",
        cli=cli,
        cli_owner=cli.stat().st_uid if starts else 0,
        cli_readable=os.access(cli, os.R_OK),
        cli_starts=starts,
    )
