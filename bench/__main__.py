"""`python -m bench [--quick] [--only PART …] [--output FILE]`: measure, print, write the table.

The full run takes some minutes and writes docs/performance.md (`make bench`); `--quick` is a smoke
run whose figures mean little, and writes only where it is told to.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import structlog

from bench import (
    call_rows,
    commands,
    footprint,
    history,
    intake,
    patches,
    polling,
    reconciling,
    replays,
    review_rows,
    reviews,
    rows,
    throughput,
)
from bench.children import ROOT
from bench.machine import machine
from bench.table import Page, Row, markdown, plain

PAGE = ROOT / "docs" / "performance.md"
COMMAND = "make bench"


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured of everything."""

    pairs: int = 12
    hooks: int = 2000
    other_pairs: int = 6
    turns: int = 4
    findings: tuple[int, ...] = reviews.FINDINGS
    commands: int = 3
    passages: int = 7
    patch_bytes: int = patches.SIZE
    starts: int = 5
    memory_hooks: int = 10_000
    events: int = 300_000
    reads: int = 50
    replay_events: int = 40_000
    instant_reviews: int = 150
    polled_projects: int = 1000
    looks: int = 30
    open_tasks: int = 1000
    passes: int = 5


QUICK = Size(
    pairs=2,
    hooks=200,
    other_pairs=1,
    turns=1,
    findings=(0, 2),
    commands=1,
    passages=1,
    patch_bytes=1_000_000,
    starts=1,
    memory_hooks=200,
    events=2000,
    reads=5,
    replay_events=2000,
    instant_reviews=6,
    polled_projects=50,
    looks=2,
    open_tasks=50,
    passes=1,
)


class Measured(msgspec.Struct, kw_only=True):
    """What was measured so far; a part that was left out stays empty."""

    intake: list[intake.Intake] = []
    reviews: list[reviews.Review] = []
    commands: list[commands.Command] = []
    patches: list[patches.Passage] = []
    starts: dict[str, footprint.Start] = {}
    weights: dict[str, footprint.Weight] = {}
    growth: dict[str, float] = {}
    reads: history.Reads | None = None
    replayed: replays.Replayed | None = None
    throughput: throughput.Throughput | None = None
    polled: list[polling.Polled] = []
    reconciled: list[reconciling.Reconciled] = []


Part = Callable[[Path, Size, Measured], Awaitable[None]]


async def _intake(folder: Path, size: Size, found: Measured) -> None:
    for number in (intake.CONNECTIONS, *intake.OTHERS):
        pairs = size.pairs if number == intake.CONNECTIONS else size.other_pairs
        hooks = size.hooks if number > 1 else size.hooks // 4
        place = folder / str(number)
        found.intake.append(
            await intake.measure(place, pairs=pairs, hooks=hooks, connections=number)
        )


async def _reviews(folder: Path, size: Size, found: Measured) -> None:
    found.reviews = await reviews.measure(folder, times=size.turns, findings=size.findings)


async def _commands(folder: Path, size: Size, found: Measured) -> None:
    found.commands = await commands.measure(folder, times=size.commands)


async def _patches(folder: Path, size: Size, found: Measured) -> None:
    found.patches = await patches.measure(folder, times=size.passages, size=size.patch_bytes)


async def _start(folder: Path, size: Size, found: Measured) -> None:
    found.starts = await footprint.starts(folder, times=size.starts)


async def _memory(folder: Path, size: Size, found: Measured) -> None:
    found.weights = await footprint.weights(folder, hooks=size.memory_hooks)
    found.growth = await asyncio.to_thread(footprint.growth)


async def _history(folder: Path, size: Size, found: Measured) -> None:
    found.reads = await history.measure(
        folder, events=size.events, times=size.reads, starts=size.starts
    )


async def _replay(folder: Path, size: Size, found: Measured) -> None:
    found.replayed = await replays.measure(folder, events=size.replay_events)


async def _throughput(folder: Path, size: Size, found: Measured) -> None:
    found.throughput = await throughput.measure(folder, reviews=size.instant_reviews)


async def _polling(folder: Path, size: Size, found: Measured) -> None:
    found.polled = await polling.measure(folder, projects=size.polled_projects, looks=size.looks)


async def _reconciling(folder: Path, size: Size, found: Measured) -> None:
    found.reconciled = await reconciling.measure(folder, tasks=size.open_tasks, passes=size.passes)


PARTS: dict[str, Part] = {
    "intake": _intake,
    "reviews": _reviews,
    "commands": _commands,
    "patches": _patches,
    "start": _start,
    "memory": _memory,
    "history": _history,
    "replay": _replay,
    "throughput": _throughput,
    "polling": _polling,
    "reconciling": _reconciling,
}


def page(found: Measured, size: Size, about: list[tuple[str, str]]) -> Page:
    """All rows, ratios first."""
    ratios: list[Row] = []
    others: list[Row] = []
    ratios += [rows.intake_share(one) for one in found.intake]
    others += [row for one in found.intake for row in rows.intake_rates(one)]
    others += [rows.throughput(found.throughput)] if found.throughput else []
    others += [rows.replayed(found.replayed)] if found.replayed else []
    ratios += call_rows.calls(found.reviews) + call_rows.command_calls(found.commands)
    if found.polled:
        calls, *times = rows.polled(found.polled)
        ratios.append(calls)
        others += times
    others += [rows.reconciled(one) for one in found.reconciled]
    if found.reviews:
        others += review_rows.waiting(found.reviews) + review_rows.sessions(found.reviews)
    if found.patches:
        others += rows.passages(found.patches)
    if found.reads:
        share, times = rows.history(found.reads)
        ratios.append(share)
        others.append(times)
    others += rows.starts(found.starts)
    others += rows.large_starts(found.reads) if found.reads else []
    others += rows.weights(found.weights, size.memory_hooks)
    lists = call_rows.call_lists(found.reviews) + call_rows.command_lists(found.commands)
    lists += rows.start_lists(found.starts) if found.starts else []
    lists += rows.growth_lists(found.growth) if found.growth else []
    return Page(command=COMMAND, machine=about, rows=[*ratios, *others], lists=lists)


async def run(names: list[str], size: Size) -> Page:
    """Measure these parts one after the other, each in a folder of its own."""
    about, found = machine(), Measured()
    for name in names:
        began = time.monotonic()
        print(f"{name} ...", end=" ", flush=True, file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="gca-bench-") as folder:
            await PARTS[name](Path(folder), size, found)
        print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return page(found, size, about)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run, a minute or two")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), help="only these parts")
    parser.add_argument("--output", type=Path, help="file to write instead of docs/performance.md")
    given = parser.parse_args(arguments)
    whole = not given.quick and not given.only
    # What we start tells its own story in its own files.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    made = asyncio.run(run(given.only or list(PARTS), QUICK if given.quick else Size()))
    print(plain(made.rows))
    for title, lines in made.lists:
        print(f"\n{title}")
        print("".join(f"  {line}\n" for line in lines), end="")
    output = given.output or (PAGE if whole else None)
    if output:
        output.write_text(markdown(made), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
