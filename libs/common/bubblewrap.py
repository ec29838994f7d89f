"""What a coding session's wall is made of: one bubblewrap inside another. Pure.

The runner builds it (`services/runner/wall.py` says what for), `gca doctor` and `gca up` try it:
the same namespaces here and there, so that whoever looks sees what a session would.
"""

from __future__ import annotations

PROGRAM = "bwrap"
NOBODY = "65534"
OUTER = (
    *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"),
    *("--unshare-cgroup-try", "--uid", NOBODY, "--gid", NOBODY),
    *("--die-with-parent", "--new-session", "--cap-drop", "ALL"),
)
"""Around the whole session."""
INNER = ("--unshare-user", "--die-with-parent", "--dev-bind", "/", "/")
"""Around each shell in it: a user namespace within the first."""
APPARMOR = "kernel.apparmor_restrict_unprivileged_userns"
MEND = (
    "install bubblewrap (package bubblewrap) and allow user namespaces, also within each other; "
    f"where AppArmor forbids them (sysctl {APPARMOR} is 1, as on Ubuntu), set it to 0 or give "
    "bwrap a profile that allows userns to it and to what it starts"
)


def alone(program: str) -> tuple[str, ...]:
    """The outer wall around a program that does nothing, over the whole system, read-only."""
    return (*_over_everything(program), "true")


def nested(program: str) -> tuple[str, ...]:
    """Both walls around a program that does nothing."""
    return (*_over_everything(program), program, *INNER, "true")


def _over_everything(program: str) -> tuple[str, ...]:
    return (program, *OUTER, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev")
