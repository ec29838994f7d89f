"""Small words that all our notes share, and the way a foreign text gets into one. Pure.

Called by `render` and `replies`: what came from outside passes the firewall here.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from libs.common.events.tasks import TaskRequested, Usage
from services.publisher.firewall import Policy, clean, one_line_code

WITHHELD = (
    "*This text was withheld because it seemed to contain a secret. "
    "An operator can look it up by the task id.*"
)
_LONGEST_NAME = 200


def note(parts: Iterable[str], mark: str) -> str:
    return "\n\n".join([*parts, mark])


def safe(text: str, policy: Policy) -> str:
    cleaned = clean(text, policy=policy)
    return WITHHELD if cleaned.blocked is not None else cleaned.text


def plain(text: str, policy: Policy | None = None) -> str:
    """A short foreign sentence on one line."""
    one_line = " ".join(text.split())
    short = msgspec.structs.replace(policy or Policy(), max_chars=_LONGEST_NAME + 100)
    return safe(one_line, short).replace("\n", " ")


def file_name(path: str) -> str:
    return one_line_code(path if len(path) <= _LONGEST_NAME else f"…{path[-_LONGEST_NAME:]}")


def footer(request: TaskRequested, usage: Usage, seconds: float) -> str:
    parts = [f"Task `{request.task_id}`"]
    if usage.model:
        parts.append(one_line_code(usage.model[:_LONGEST_NAME]))
    if usage.input_tokens or usage.output_tokens:
        parts.append(f"{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out")
    if seconds or usage.seconds:
        parts.append(f"{seconds or usage.seconds:.0f} s")
    return " · ".join(parts)


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
