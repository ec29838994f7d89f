"""Becomes a step's command, tied to the life of its supervisor; started by it as a plain script.

    python -I -S step.py <pid of the supervisor> <command> [arguments]

Only the standard library, and little of it: this runs before every step. The kernel's parent death
signal survives exec, so that the command dies with a supervisor that was killed (Linux only).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
CANNOT_START = 127


def main(supervisor: int, argv: list[str]) -> None:
    """Replace this process by `argv`; exits 127 when there is no such command."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != supervisor:  # it died before the kernel knew
        sys.exit(signal.SIGKILL)
    try:
        os.execvp(argv[0], argv)  # noqa: S606  the command is the launcher's, never a shell line
    except OSError as error:
        sys.stderr.write(f"cannot start {argv[0]}: {error.strerror}\n")
        sys.exit(CANNOT_START)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
