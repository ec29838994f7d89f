"""The page that is written: one table, what was measured on, and the lists behind it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One claim; `holds` is None where nothing is asked for."""

    name: str
    seen: str
    asked: str = ""
    holds: bool | None = None
    how: str


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Everything on the page, in order; `lists` are a title and its lines."""

    command: str
    machine: Sequence[tuple[str, str]]
    rows: Sequence[Row]
    lists: Sequence[tuple[str, Sequence[str]]] = ()


VERDICTS = {True: "yes", False: "**no**", None: ""}
_INTRODUCTION = """# Speed and size

Written by `{command}`; do not edit. Ratios come first: they change little from one machine to the
next. Other figures belong to the machine below, where everything (services, nats-server, simulated
GitLab and model, load generator) shared the cores.
"""


def markdown(page: Page) -> str:
    """The page as Markdown."""
    parts = [_INTRODUCTION.format(command=page.command), _machine(page), _table(page.rows)]
    parts += [_listed(title, lines) for title, lines in page.lists]
    return "\n".join(parts)


def plain(rows: Sequence[Row]) -> str:
    """The rows for a terminal."""
    width = max((len(row.name) for row in rows), default=0)
    return "\n".join(_plain(row, width) for row in rows)


def _plain(row: Row, width: int) -> str:
    asked = f"  [{row.asked}: {VERDICTS[row.holds].strip('*')}]" if row.asked else ""
    return f"{row.name:<{width}}  {row.seen}{asked}"


def _machine(page: Page) -> str:
    return "".join(f"- {name}: {value}\n" for name, value in page.machine)


def _table(rows: Sequence[Row]) -> str:
    lines = ["| What | Seen | Asked | Holds | How it is measured |", "|---|---|---|---|---|"]
    lines += [_line([row.name, row.seen, row.asked, VERDICTS[row.holds], row.how]) for row in rows]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _listed(title: str, lines: Sequence[str]) -> str:
    return f"## {title}\n\n" + "".join(f"- {line}\n" for line in lines)
