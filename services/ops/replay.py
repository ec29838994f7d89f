"""`gca replay FILTER --since 2h`: facts of the log once more, as new events that name the old."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from libs.common import subjects
from libs.common.events.envelope import Recorded
from libs.common.events.log import EventLog
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.inspection import dead_letters_of, scan
from libs.common.jetstream.log import JetStreamLog
from services.ops.confirming import Ask, agreed, typed
from services.ops.doctor.situation import Situation
from services.ops.last_time import Past
from services.ops.opened import opened_log
from services.ops.progress import Progress
from services.ops.repeating import RATE, Case, Plan, case, is_fact, lines, plan, repeated
from services.ops.screen import count
from services.ops.terminal import Terminal

_AT_ONCE = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("filter", metavar="FILTER", help="such as 'mr.opened.42.>' or 'jira.>'")
    parser.add_argument("--since", required=True, help="from when: 2h, 3d or 2026-01-05T09:30")
    parser.add_argument("--until", default="", help="until when; as --since")
    parser.add_argument("--only-failed", action="store_true", help="only what did not end well")
    parser.add_argument("--dry-run", action="store_true", help="show what would run, no more")
    parser.add_argument("--id", default="", help="name of this replay; the same twice is one")
    parser.add_argument("--rate", type=float, default=RATE, help="events per second")
    parser.add_argument("--yes", action="store_true", help="do not ask")


async def run(
    given: argparse.Namespace, situation: Situation, terminal: Terminal, *, ask: Ask = typed
) -> int:
    """Show, ask, append; 1 when the person said no."""
    now = datetime.now(UTC)
    asked = plan(given, now)
    async with opened_log(situation) as connection:
        cases = await gather(connection, asked, now)
        for line in lines(cases, width=terminal.width, colored=terminal.colored):
            terminal.write(line)
        facts = [one.fact for one in cases if not one.left_out]
        terminal.write(f"{count(len(cases), 'event')} found, {len(facts)} to replay")
        if given.dry_run or not facts:
            return 0
        question = f"Append {count(len(facts), 'event')} as replay {asked.replay_id}?"
        if not await agreed(question, yes=given.yes, ask=ask):
            terminal.write("nothing was replayed")
            return 1
        return await _append(facts, asked, JetStreamLog(connection), terminal)


async def gather(connection: Connection, asked: Plan, now: datetime) -> list[Case]:
    """Every fact of the window, the newest of each subject, with what came of it."""
    facts: dict[str, Recorded] = {}
    async for record in scan(connection, asked.filter, asked.since):
        if record.time > asked.until:
            break
        if is_fact(record):
            facts[record.subject] = record
    places = sorted({subjects.scope_and_ref(subject) for subject in facts})
    gate = asyncio.Semaphore(_AT_ONCE)
    log = JetStreamLog(connection)

    async def past(scope: str, ref: str) -> Past:
        async with gate:
            history = await log.history(subjects.history(scope, ref))
            return Past(history=history, letters=await dead_letters_of(connection, scope, ref))

    pasts = dict(zip(places, await asyncio.gather(*(past(*p) for p in places)), strict=True))
    found = sorted(facts.values(), key=lambda fact: fact.seq)
    return [case(fact, pasts[subjects.scope_and_ref(fact.subject)], asked, now) for fact in found]


async def _append(facts: Sequence[Recorded], asked: Plan, log: EventLog, terminal: Terminal) -> int:
    """One after the other, at most `rate` per second; says how to go on when it is broken off."""
    progress, new, done = Progress(terminal.err, len(facts)), 0, 0
    started = time.monotonic()
    try:
        for fact in facts:
            await asyncio.sleep(max(0.0, started + done / asked.rate - time.monotonic()))
            appended = await log.append(repeated(fact, asked.replay_id, datetime.now(UTC)))
            new, done = new + (not appended.duplicate), done + 1
            progress.show(done)
    finally:
        progress.end()
        there = f", {done - new} there already" if done > new else ""
        seconds = time.monotonic() - started
        terminal.write(
            f"replay {asked.replay_id}: {new} of {len(facts)} appended{there}, {seconds:.1f} s"
        )
        if done < len(facts):
            terminal.aside(f"gca: broken off; the same with --id {asked.replay_id} goes on")
    return 0
