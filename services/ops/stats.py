"""`gca stats`: what tasks were done, what they cost, how long they took; read from the log."""

from __future__ import annotations

import re
import textwrap
from datetime import UTC, date, datetime, timedelta

import msgspec

from libs.common.errors import AgentError
from libs.common.jetstream.inspection import scan
from services.ops.doctor.situation import Situation
from services.ops.live import Live
from services.ops.opened import opened_log
from services.ops.screen import paint
from services.ops.tally import Numbers, Stage, Tally
from services.ops.terminal import Terminal

LONGEST = timedelta(days=3650)
MOST_NAMES = 20
"""Projects whose paths are looked up; the busiest ones."""
_STAGE = 24
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_HEADS = (
    *("reviews", "answers", "changes", "failed", "tokens", "cost"),
    *("findings", "commits", "MRs", "refused", "superseded"),
)
_BARS, _PLAIN_BARS = ("█", "▒"), ("#", "x")


def parse_since(text: str) -> timedelta:
    """`7d`, `12h`, `30m` or `2w`; raises `AgentError`."""
    match = re.fullmatch(r"(\d{1,5})([mhdw])", text)
    if match is None or not int(match[1]):
        raise AgentError(f"--since {text[:20]!r} is no span of time; write one such as 12h or 7d")
    return min(timedelta(**{_UNITS[match[2]]: int(match[1])}), LONGEST)


async def run(since: str, situation: Situation, terminal: Terminal, *, as_json: bool) -> int:
    """Read the log once, from `since` on, and print what it holds."""
    span = parse_since(since)
    start, tally = datetime.now(UTC) - span, Tally()
    async with opened_log(situation) as connection:
        async for record in scan(connection, "task.>", start):
            tally.add(record)
    names = await _names(tally, situation)
    if as_json:
        terminal.write(as_object(tally, names, start))
        return 0
    width = terminal.width or 100
    bars = _BARS if terminal.unicode else _PLAIN_BARS
    found = lines(tally, names, since, width=width, bars=bars, colored=terminal.colored)
    for line in found:
        terminal.write(line)
    return 0


async def _names(tally: Tally, situation: Situation) -> dict[str, str]:
    """Paths by project id, as far as GitLab tells them."""
    busiest = sorted(tally.projects, key=lambda p: tally.projects[p].done, reverse=True)
    async with Live(situation) as live:
        found = {}
        for project in busiest[:MOST_NAMES]:
            path = await live.path(int(project)) if project.isdecimal() else ""
            found[project] = path or project
            if live.problem:
                break
    return found


def lines(
    tally: Tally,
    names: dict[str, str],
    since: str,
    *,
    width: int,
    bars: tuple[str, str] = _PLAIN_BARS,
    colored: bool = False,
) -> list[str]:
    """Everything for people: pure. Columns that do not fit are left out, from the right."""
    if not tally.days:
        return [f"no task ended within the last {since}"]
    found = [
        part
        for text in _totals(tally, since)
        for part in textwrap.wrap(text, width, subsequent_indent="  ")
    ]
    found.append("")
    found += _table("project", _by_work(tally, names), width)
    found += ["", *_chart(tally.days, width, bars, colored=colored)]
    if tally.stages:
        found += ["", *_stages(tally.stages)]
    return found


def _totals(tally: Tally, since: str) -> list[str]:
    total = tally.all
    ended = total.done + total.failures
    share = f" ({total.failures / ended:.0%})" if ended else ""
    changes = f"{total.changes} code changes"
    if total.unchanged:
        changes += f" and {total.unchanged} with nothing to do"
    done = f"{total.reviews} reviews, {total.answers} answers, {changes}"
    other = f"{total.refused} refused, {total.superseded} superseded"
    left = f"{total.commits} commits, {total.merge_requests} merge requests"
    found = [
        f"last {since}: {done}, {total.failures} failures{share}, {other}",
        f"left: {total.findings} findings, {left}",
        f"tokens: {total.input_tokens:,} in, {total.output_tokens:,} out; cost {total.cost:,.2f}",
    ]
    for label, counts in (("failed", tally.reasons), ("refused", tally.refusals)):
        if counts:
            told = ", ".join(f"{number} {why}" for why, number in counts.most_common())
            found.append(f"{label} by: {told}")
    return found


def _by_work(tally: Tally, names: dict[str, str]) -> list[tuple[str, Numbers]]:
    rows = sorted(tally.projects.items(), key=lambda row: row[1].done, reverse=True)
    return [(names.get(project, project), numbers) for project, numbers in rows]


def _table(title: str, rows: list[tuple[str, Numbers]], width: int) -> list[str]:
    heads = [title, *_HEADS]
    shown = [[_tail(name, width - 12), *_cells(numbers)] for name, numbers in rows]
    sizes = [max(len(line[i]) for line in [heads, *shown]) for i in range(len(heads))]
    while len(sizes) > 2 and sum(sizes) + 2 * (len(sizes) - 1) > width:
        sizes.pop()
    return [_row(line, sizes) for line in [heads, *shown]]


def _tail(name: str, most: int) -> str:
    """The end of a long path, which tells more than its start."""
    return name if len(name) <= most else f"..{name[2 - most :]}"


def _cells(numbers: Numbers) -> list[str]:
    tokens = numbers.input_tokens + numbers.output_tokens
    work = (numbers.reviews, numbers.answers, numbers.changes, numbers.failures)
    left = (numbers.findings, numbers.commits, numbers.merge_requests)
    ended = (numbers.refused, numbers.superseded)
    return [*map(str, work), f"{tokens:,}", f"{numbers.cost:,.2f}", *map(str, (*left, *ended))]


def _row(line: list[str], sizes: list[int]) -> str:
    first, *rest = line[: len(sizes)]
    cells = [f"{cell:>{size}}" for cell, size in zip(rest, sizes[1:], strict=True)]
    return "  ".join([f"{first:<{sizes[0]}}", *cells])


def _chart(
    days: dict[date, Numbers], width: int, bars: tuple[str, str], *, colored: bool
) -> list[str]:
    """A bar per day: what was done, then failures."""
    most = max(n.done + n.failures for n in days.values()) or 1
    room = max(width - 24, 10)
    full, failed = bars
    found = [f"by day ({full} done, {failed} failures)"]
    for day in sorted(days):
        numbers = days[day]
        good, bad = (_length(n, most, room) for n in (numbers.done, numbers.failures))
        bar = paint(full * good, "green", colored=colored) if good else ""
        bar += paint(failed * bad, "red", colored=colored) if bad else ""
        counts = f"{numbers.done}" + (f" + {numbers.failures}" if numbers.failures else "")
        found.append(f"{day}  {bar} {counts}")
    return found


def _length(number: int, most: int, room: int) -> int:
    return max(1, round(number / most * (room - 1))) if number else 0


def _stages(stages: dict[str, Stage]) -> list[str]:
    found = [f"{'seconds per stage':<{_STAGE}} {'median':>8} {'p90':>8} {'longest':>8}"]
    for name, stage in sorted(stages.items(), key=lambda item: item[1].total, reverse=True):
        middle, high = stage.percentile(0.5), stage.percentile(0.9)
        found.append(f"{name[:_STAGE]:<{_STAGE}} {middle:>8.1f} {high:>8.1f} {stage.longest:>8.1f}")
    return found


def as_object(tally: Tally, names: dict[str, str], start: datetime) -> str:
    """Everything for programs: one JSON object on one line, with stable names."""
    found = {
        "since": start.isoformat(),
        "all": tally.all,
        "failures_by_reason": dict(tally.reasons),
        "refusals_by_code": dict(tally.refusals),
        "projects": [
            {"project": project, "path": names.get(project, ""), **msgspec.to_builtins(numbers)}
            for project, numbers in tally.projects.items()
        ],
        "days": [
            {"day": day.isoformat(), **msgspec.to_builtins(numbers)}
            for day, numbers in sorted(tally.days.items())
        ],
        "stages": {
            name: {
                "count": stage.count,
                "mean": stage.total / stage.count,
                "median": stage.percentile(0.5),
                "p90": stage.percentile(0.9),
                "longest": stage.longest,
            }
            for name, stage in tally.stages.items()
        },
    }
    return msgspec.json.encode(found).decode()
