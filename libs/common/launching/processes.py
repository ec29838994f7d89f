"""Processes known by pid and start time, so that a reused pid is never taken for the old one.

Used by the supervisor and by the local launcher; Linux by `/proc`, elsewhere by `ps`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

_PROC = Path("/proc")
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, linux/prctl.h
# One option each: BSD's ps takes all that follows "=" for the heading of that column.
_COLUMNS = ("-o", "pid=", "-o", "ppid=", "-o", "pgid=", "-o", "stat=", "-o", "lstart=")


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A living process; `started` is whatever the system calls its start, compared as text."""

    pid: int
    parent: int
    group: int
    started: str


def table() -> list[Process]:
    """All living processes that this user can see; zombies count as dead."""
    if not sys.platform.startswith("linux"):
        return _by_ps("-A")
    found = (_by_proc(int(entry.name)) for entry in _PROC.iterdir() if entry.name.isdecimal())
    return [process for process in found if process]


def find(pid: int) -> Process | None:
    if sys.platform.startswith("linux"):
        return _by_proc(pid)
    return next(iter(_by_ps("-p", str(pid))), None)


def is_alive(pid: int, started: str) -> bool:
    process = find(pid)
    return process is not None and process.started == started


def kill_group(group: int, started: str, number: int) -> bool:
    """Signal a process group led by `group`; False when nothing of it is left.

    The leader may be gone while members live: its number is then still ours, as the system gives
    no new process the number of a group that exists. A leader with another start is a stranger.
    """
    if not _members(group, started):
        return False
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
    return True


def end_group(group: int, started: str, grace: float) -> None:
    """SIGTERM, up to `grace` seconds, then SIGKILL to whatever is left of the group."""
    kill_group(group, started, signal.SIGTERM)
    until = time.monotonic() + grace
    while time.monotonic() < until and _members(group, started):
        time.sleep(0.05)
    kill_group(group, started, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies (Linux only)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def kill_children() -> None:
    """SIGKILL all children of this process, and theirs as they are adopted."""
    for _ in range(100):
        children = [process.pid for process in table() if process.parent == os.getpid()]
        if not children:
            return
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        reap()
        time.sleep(0.01)


def reap() -> None:
    """Collect dead children nobody waits for."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _members(group: int, started: str) -> list[Process]:
    members = [process for process in table() if process.group == group]
    strangers = any(member.pid == group and member.started != started for member in members)
    return [] if strangers else members


def _by_proc(pid: int) -> Process | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name in parentheses may hold anything; fields are counted from behind it (proc(5)).
    fields = text.rpartition(")")[2].split()
    if fields[0] in "ZX":
        return None
    return Process(pid=pid, parent=int(fields[1]), group=int(fields[2]), started=fields[19])


def _by_ps(*which: str) -> list[Process]:
    done = subprocess.run(  # noqa: S603  fixed words and a number
        ["/bin/ps", *which, *_COLUMNS],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
        env={"LC_ALL": "C"},
    )
    rows = [line.split(maxsplit=4) for line in done.stdout.splitlines()]
    return [
        Process(pid=int(row[0]), parent=int(row[1]), group=int(row[2]), started=row[4].strip())
        for row in rows
        if len(row) == 5 and not row[3].startswith("Z")
    ]
