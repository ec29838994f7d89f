"""`gca doctor`: all looks at once, shown as lines; 0 when nothing is broken, else 1."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial

from services.ops.doctor import gitlab, jira, machine, model, nats, report, settings
from services.ops.doctor.check import Check, Probe, Round, exit_code
from services.ops.doctor.situation import Situation
from services.ops.terminal import Terminal

PROGRESS_AFTER = 2.0
START_SECONDS = 30.0
"""For starting our own services: that waits for this machine, and not for a peer."""
PROGRAM_SECONDS = 5.0
"""At least, for other programs on this machine."""


def probes(situation: Situation) -> list[Probe]:
    """Everything that is looked at, in the order in which it is told."""
    seconds = situation.seconds
    local = max(seconds, PROGRAM_SECONDS)
    return [
        Probe(
            settings.NAME,
            partial(settings.look, situation),
            "start a service by hand to see why: python -m services.ingest --check",
            START_SECONDS,
        ),
        Probe("gca up", partial(machine.look_at_system, situation), "start it again", seconds),
        Probe(nats.NAME, partial(nats.look, situation), nats.MEND, seconds),
        Probe(gitlab.NAME, partial(gitlab.look, situation), gitlab.MEND, 4 * seconds),
        Probe(jira.NAME, partial(jira.look, situation), jira.MEND, 4 * seconds),
        Probe(model.NAME, partial(model.look, situation), model.MEND, 4 * seconds),
        Probe("Copilot CLI", partial(machine.look_at_cli, situation), machine.CLI_MEND, local),
        Probe("git", partial(machine.look_at_git, situation), "install git 2.31 or newer", local),
        Probe(
            "wall for coding",
            partial(machine.look_at_wall, situation),
            "see why `bwrap` hangs",
            local,
        ),
    ]


async def examine(situation: Situation, terminal: Terminal) -> list[Check]:
    """Every check; says what is still waited for when that takes longer than a moment."""
    round_ = Round()
    telling = asyncio.create_task(_tell(round_, terminal))
    try:
        return await round_.run(probes(situation))
    finally:
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling


async def run(situation: Situation, terminal: Terminal, *, as_json: bool) -> int:
    checks = await examine(situation, terminal)
    if as_json:
        found = report.json_lines(checks)
    else:
        found = report.lines(checks, width=terminal.width, colored=terminal.colored)
        found.append(report.summary(checks))
    for line in found:
        terminal.write(line)
    return exit_code(checks)


async def _tell(round_: Round, terminal: Terminal) -> None:
    await asyncio.sleep(PROGRESS_AFTER)
    terminal.aside(f"still waiting for: {', '.join(sorted(round_.asked))}")
