"""Looks at NATS: reachable, JetStream, topology, room, dead letters, who listens, its clock."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from libs.common.errors import AgentError, SettingsError, cut
from libs.common.jetstream import inspection
from libs.common.jetstream.apply import Change, diff
from libs.common.jetstream.connecting import UNTRUSTED, connected, without_login
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.inspection import ConsumerState
from libs.common.jetstream.letters import DeadLetter, Letters, read
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import DURABLES
from libs.common.jetstream.versions import too_old
from services.ops.declared import SETTING, declared
from services.ops.doctor.check import Check, broken, ok, warning
from services.ops.doctor.situation import Situation
from services.ops.places import default_root, state_of
from services.ops.screen import count

NAME = "NATS"
MEND = "start NATS, or set NATS_URL (and NATS_CREDENTIALS) to the one in use"
NEARLY_FULL, FULL = 0.7, 0.85
"""Ingest takes no webhooks from 85 % on."""
DISK_NEARLY_FULL, DISK_FULL = 1024**3, 64 * 1024**2
"""Bytes that are free; nats-server stops writing before the very last one."""
_STARTED, _NO_WRITES = "Starting nats-server", "critical write error"
"""Words of nats-server's own log."""
_MOST_READ = 1024**2
SKEW_SECONDS, BAD_SKEW_SECONDS = 10.0, 300.0


async def look(situation: Situation) -> list[Check]:
    url = situation.nats_url
    if not url:
        return [ok(NAME, "`gca up` starts its own nats-server when it runs")]
    greeting = await inspection.greet(url, situation.seconds)
    where = f"{greeting.version} at {without_login(url)}"
    if not greeting.jetstream:
        mend = "start nats-server with JetStream on (option -js, or a jetstream block)"
        return [broken(NAME, f"NATS {where} runs without JetStream", mend)]
    old = too_old(greeting.version)
    if old is not None:
        mend = f"upgrade the nats-server at {without_login(url)}, or set NATS_URL to another"
        return [broken(NAME, old, mend)]
    try:
        async with connected(
            url,
            name="gca-doctor",
            on_closed=lambda: None,
            access=situation.nats_access,
            patience=situation.seconds * 0.6,
            # A question that is forbidden stays without an answer: named, if waited for less.
            answer_within=situation.seconds * 0.3,
        ) as connection:
            found = [ok(NAME, f"NATS {where}, JetStream on")]
            return found + await _inside(connection, situation)
    except AgentError as error:
        return [_refusal(where, error)]


def _refusal(where: str, error: AgentError) -> Check:
    """What keeps us out; raises what is about the way there."""
    if "uthorization" in str(error):
        mend = "put its user or token into NATS_URL, or set NATS_CREDENTIALS"
        return broken(NAME, f"NATS {where} refuses our credentials", mend)
    if UNTRUSTED in str(error):
        mend = "set CA_BUNDLE to a file with its authority, or mend the server's certificate"
        return broken(NAME, cut(str(error)), mend)
    raise error


async def _inside(connection: Connection, situation: Situation) -> list[Check]:
    try:
        wanted = declared(situation.given)
    except SettingsError as error:
        return [broken("topology", str(error), f"set {SETTING} to a size, or take it away")]
    changes = await diff(connection, wanted)
    found = [layout(changes)]
    if found[0].state == "broken":
        return found
    found.append(room(await JetStreamLog(connection).fill()))
    if not situation.given.get("NATS_URL"):
        folder = state_of(default_root(), simulated=situation.simulated)
        found += await asyncio.to_thread(_disk, folder)
    found.append(await _letters(Letters(connection), situation.seconds * 0.3))
    before = datetime.now(UTC)
    told = await inspection.server_time(connection)
    if told is not None:
        found.append(skew("clock of NATS", told, before, datetime.now(UTC)))
    if situation.running is None:
        for durable in DURABLES:
            state = await inspection.consumer_state(connection, durable.name)
            found += [listening(state)] if state else []
    return found


def layout(changes: list[Change]) -> Check:
    """Pure: what `gca topology diff` says, as one line."""
    name, mend = "topology", "run `gca topology apply`"
    missing = [change.name for change in changes if change.action == "create"]
    if missing:
        return broken(name, f"not there: {', '.join(missing)}", mend)
    if changes:
        lines = "; ".join(f"{c.name} ({', '.join(c.fields)})" for c in changes)
        return warning(name, f"differs from what is declared: {cut(lines)}", mend)
    return ok(name, "streams, buckets and consumers are as declared")


def room(fill: float) -> Check:
    """Pure: how full the log is."""
    name, share = "log", f"{fill:.0%} of max_bytes is used"
    mend = f"give the log more room: set {SETTING}, then run `gca topology apply`"
    if fill >= FULL:
        return broken(name, f"full, {share}: webhooks are answered 503", mend)
    if fill >= NEARLY_FULL:
        meaning = f"nearly full, {share}; from {FULL:.0%} on webhooks are answered 503"
        return warning(name, meaning, mend)
    return ok(name, share)


def disk(folder: Path, free: int) -> list[Check]:
    """Pure: room for the log where a `gca up` keeps it; nothing is said while there is enough."""
    name, left = "disk of the log", f"{free // 1024**2} MiB are free at {folder}"
    mend = "make room on that disk, or set GCA_STATE_DIR to a folder on a larger one"
    if free < DISK_FULL:
        return [broken(name, f"full, {left}: nothing can be logged", mend)]
    if free < DISK_NEARLY_FULL:
        return [warning(name, f"nearly full, {left}", mend)]
    return []


def gave_up(said: str) -> list[Check]:
    """Pure: whether nats-server stopped writing; `said` is its log, of this start the last part.

    It answers questions as before, and nothing but its log tells.
    """
    since = said.rpartition(_STARTED)[2]
    line = next((line for line in since.splitlines() if _NO_WRITES in line), "")
    if not line:
        return []
    meaning = f"nats-server gave up writing: {cut(line.partition(_NO_WRITES)[2].strip(': '))}"
    mend = "make room on its disk, then end nats-server: `gca up` starts it again"
    return [broken("disk of the log", meaning, mend)]


def _disk(folder: Path) -> list[Check]:
    found: list[Check] = []
    with contextlib.suppress(OSError):
        found += disk(folder, shutil.disk_usage(folder).free)
    with contextlib.suppress(OSError), (folder / "nats" / "nats-server.log").open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _MOST_READ))
        found += gave_up(file.read().decode(errors="replace"))
    return found


async def _letters(letters: Letters, seconds: float) -> Check:
    """Those that no operator has dealt with, as many as can be counted in that time."""
    waiting: list[DeadLetter] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for stored in letters.since(datetime.fromtimestamp(0, UTC)):
                letter = read(stored)
                if await letters.fate(letter) is None:
                    waiting.append(letter)
            return dead_letters(waiting, counted=True)
    return dead_letters(waiting, counted=False)


def dead_letters(waiting: list[DeadLetter], *, counted: bool) -> Check:
    """Pure: what was given up and waits for an operator."""
    name = "dead letters"
    if not waiting:
        return ok(name, "none waits" if counted else "too many to look at in this time")
    newest = waiting[-1]
    number = count(len(waiting), "event") if counted else f"at least {len(waiting)} events"
    return warning(
        name,
        f"{number} given up, last by {newest.service}: {cut(newest.reason, 80)}",
        "see them: `gca dead-letters list`; then put back or drop: `gca dead-letters retry ID`",
    )


def listening(state: ConsumerState) -> Check:
    """Pure: whether a service that is not ours to ask fetches its events."""
    name = f"service {state.name}"
    if state.waiting == 0 and state.unacknowledged == 0:
        return broken(
            name,
            f"nobody fetches its events; {state.pending} are waiting",
            f"start {state.name} (`gca up`, or its deployment)",
        )
    return ok(
        name, f"fetches events; {state.pending + state.unacknowledged} are waiting or in hand"
    )


def skew(name: str, told: datetime, before: datetime, after: datetime) -> Check:
    """Pure: how far a peer's clock is from ours; one between `before` and `after` is right."""
    late = max((before - told).total_seconds(), (told - after).total_seconds(), 0.0)
    mend = "set this machine's clock and the server's by NTP"
    if late > BAD_SKEW_SECONDS:
        return broken(name, f"{late:.0f} s away from ours: tokens and deadlines go wrong", mend)
    if late > SKEW_SECONDS:
        return warning(name, f"{late:.0f} s away from ours", mend)
    return ok(name, "agrees with ours")
