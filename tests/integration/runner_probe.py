"""What a session's shell may try to get at the model's key; prints what it got at, then `DONE`.

Handed to the shell as text by tests of the walls, with the key in two pieces, so that neither the
conversation nor the probe's own memory holds what it looks for.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import sys
import time
from pathlib import Path

DEBUGGER = ("127.0.0.1", 9229)
PATIENCE = 3.0


def readable(pid: str, name: str) -> bytes:
    try:
        return Path("/proc", pid, name).read_bytes()
    except OSError:
        return b""


def in_memory(pid: str, key: bytes) -> bool:
    """Whether the key is in what this process has mapped privately."""
    with contextlib.suppress(OSError), Path("/proc", pid, "mem").open("rb") as memory:
        for line in readable(pid, "maps").decode().splitlines():
            place, rights = line.split()[:2]
            begin, end = (int(part, 16) for part in place.split("-"))
            if not rights.startswith("rw") or end - begin > 1 << 30:
                continue
            with contextlib.suppress(OSError, ValueError, OverflowError):
                memory.seek(begin)
                if key in memory.read(end - begin):
                    return True
    return False


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")


def debugger() -> bool:
    """Whether somebody listens where Node.js listens for debuggers."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(DEBUGGER, timeout=1):
            return True
        time.sleep(0.1)
    return False


def main(first: str, second: str) -> None:
    key = first.encode() + second.encode()
    for pid in [folder.name for folder in Path("/proc").glob("[0-9]*")]:
        name = readable(pid, "comm").decode().strip()
        if pid == str(os.getpid()):
            continue
        if key in readable(pid, "environ"):
            say("FOUND environ", name)
        if in_memory(pid, key):
            say("FOUND memory", name)
        if readable(pid, "cmdline").split(b"\0")[0].endswith(b"copilot"):
            say("CLI", oct(Path("/proc", pid).stat().st_mode))
            with contextlib.suppress(OSError):
                os.kill(int(pid), signal.SIGUSR1)
    near = (Path(os.environ["HOME"]).rglob("*"), Path("..").rglob("*"), Path("/tmp").glob("*"))
    for path in itertools.chain(*near):
        with contextlib.suppress(OSError):
            if path.is_file() and not path.is_symlink() and key in path.read_bytes():
                say("FOUND file", path)
    if debugger():
        say("FOUND debugger")
    say("DONE")


if __name__ == "__main__":
    main(*sys.argv[1:])
