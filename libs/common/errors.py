"""Errors as decisions: what went wrong says what happens next.

Raised by handlers and doors; only `libs.common.jetstream.consumer` turns them into ack, nak
or term.
"""

from __future__ import annotations

LONGEST_TEXT = 256
"""Characters of foreign text an error may carry; more could drag secrets or pages into logs."""


def cut(text: str, longest: int = LONGEST_TEXT) -> str:
    """One line of at most `longest` characters, for text that came from outside."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


class AgentError(Exception):
    """Anything this system raises on purpose; its text is safe to log and to show."""


class Permanent(AgentError):
    """Trying again will not help: dead letter, with this reason."""


class Temporary(AgentError):
    """Try again after `delay` seconds; judged by age, not by count.

    `peer` names the system that is away (`gitlab`, `nats`, `model`), so that a consumer can pause
    while it is down instead of failing message after message. None when nobody is down.
    """

    def __init__(self, reason: str, *, delay: float = 5.0, peer: str | None = None) -> None:
        super().__init__(reason)
        self.delay = delay
        self.peer = peer


class SettingsError(AgentError):
    """One or more settings are missing or wrong; `problems` has a line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
