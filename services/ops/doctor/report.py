"""The doctor's words on the screen: pure. A line each; wrapped only where a person reads."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

import msgspec

from services.ops.doctor.check import Check
from services.ops.screen import paint, printable

COLORS = {"ok": "green", "warning": "yellow", "broken": "red"}


def lines(checks: Iterable[Check], *, width: int | None, colored: bool) -> list[str]:
    """What is read; `width` None: each check on one line, however long."""
    checks = list(checks)
    longest = max((len(check.name) for check in checks), default=0)
    column = min(longest, 24 if width is None or width >= 100 else 16)
    return [line for check in checks for line in _lines(check, column, width, colored=colored)]


def _lines(check: Check, column: int, width: int | None, *, colored: bool) -> list[str]:
    text = printable(check.meaning + (f" -> {check.mend}" if check.mend else ""))
    head = f"{check.state:<7}  {printable(check.name):<{column}}  "
    if width is None or len(head) + len(text) <= width:
        found = [head + text]
    else:
        # A name too long for its column gets a line of its own where space is short.
        indent = " " * (9 + column + 2 if width >= 80 else 9)
        first = head.rstrip() if len(head) > len(indent) else head
        wrapped = textwrap.wrap(
            text,
            width,
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        if first == head:
            wrapped[0] = head + wrapped[0].lstrip()
            found = wrapped
        else:
            found = [first, *wrapped]
    state = paint(check.state, COLORS[check.state], colored=colored)
    found[0] = state + found[0].removeprefix(check.state)
    return found


def json_lines(checks: Iterable[Check]) -> list[str]:
    """One object per check: name, state, meaning, mend."""
    return [msgspec.json.encode(check).decode() for check in checks]


def summary(checks: Iterable[Check]) -> str:
    states = [check.state for check in checks]
    counts = {state: states.count(state) for state in ("broken", "warning", "ok")}
    told = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    return f"{told}: " + ("nothing is broken" if not counts["broken"] else "mend what is broken")
