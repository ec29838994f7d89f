"""Starts a program that dies with us: `python -I leash.py <program> <arguments…>`.

Started by `session` in front of the Copilot CLI, so that a killed runner leaves no orphan. Stands
alone: no imports of ours. On other systems than Linux the CLI ends when its input is closed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(program: list[str], parent: int) -> None:
    """Become `program`; the kernel sends it SIGKILL when its parent ends (prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the kernel knew of our wish
            sys.exit(1)
    os.execv(program[0], program)  # noqa: S606  that is the purpose


if __name__ == "__main__":
    main(sys.argv[2:], int(sys.argv[1]))
