"""Who may ask for what: pure rules over what GitLab says of a member (SR-06, SR-07).

Called by the reviewer and the coder when a command is decided, not when the note was written.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec

CommandClass = Literal["read", "write"]
"""`read` asks for a review or an answer, `write` for a change of code."""
ROLES = {
    0: "Anonymous",
    5: "Minimal Access",
    10: "Guest",
    15: "Planner",
    20: "Reporter",
    25: "Security Manager",
    30: "Developer",
    40: "Maintainer",
    50: "Owner",
    60: "Admin",
}
"""GitLab's access levels by number (docs.gitlab.com/api/members)."""
REPORTER, DEVELOPER, MAINTAINER = 20, 30, 40


class Levels(msgspec.Struct, frozen=True, kw_only=True):
    """The least role per class of command, from the operator's settings."""

    read: int = REPORTER
    write: int = DEVELOPER

    def needed(self, what: CommandClass) -> int:
        return self.write if what == "write" else self.read


def effective_level(
    access_level: int | None, *, state: str = "active", expires_at: date | None, today: date
) -> int:
    """The role that counts: none for a stranger, a blocked account, an expired membership."""
    if access_level is None or state != "active":
        return 0
    if expires_at is not None and expires_at <= today:
        return 0
    return access_level


def role(level: int) -> str:
    """The name of the highest role that `level` reaches."""
    return ROLES[max((known for known in ROLES if known <= level), default=0)]
