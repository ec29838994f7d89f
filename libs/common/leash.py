"""Starts a program that dies with us, whatever ends us: `leashed` makes its command line.

Used for the steps of a Job, the Copilot CLI, and the children of `gca up`. The kernel's parent
death signal survives exec (prctl(2)), so a killed parent leaves no orphan. Linux only; elsewhere
the program is started all the same. Run as a plain script, with little of the standard library:

    python -I -S leash.py <pid of the parent> <program> [arguments]
"""

from __future__ import annotations

import os
import signal
import sys

PR_SET_PDEATHSIG = 1
CANNOT_START = 127


def leashed(command: list[str]) -> list[str]:
    """`command` so that the kernel sends it SIGKILL when this process ends."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def main(parent: int, command: list[str]) -> None:
    """Replace this process by `command`; exits 127 when there is no such program."""
    if sys.platform.startswith("linux"):
        import ctypes  # noqa: PLC0415  # slow, and only needed where there is a prctl

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel knew
        sys.exit(signal.SIGKILL)
    try:
        os.execvp(command[0], command)  # noqa: S606  # whoever starts us named it; no shell
    except OSError as error:
        sys.stderr.write(f"cannot start {command[0]}: {error.strerror}\n")
        sys.exit(CANNOT_START)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
