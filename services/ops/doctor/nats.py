"""Looks at NATS: reachable, JetStream, topology, room in the log, who listens, its clock."""

from __future__ import annotations

from datetime import UTC, datetime

from libs.common.errors import AgentError, cut
from libs.common.jetstream import inspection
from libs.common.jetstream.apply import Change, diff
from libs.common.jetstream.connection import Connection, connected, without_login
from libs.common.jetstream.inspection import ConsumerState
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import DURABLES, topology
from services.ops.doctor.check import Check, broken, ok, warning
from services.ops.doctor.situation import Situation

NAME = "NATS"
MEND = "start NATS, or set NATS_URL (and NATS_CREDENTIALS) to the one in use"
NEARLY_FULL, FULL = 0.7, 0.85
"""Ingest takes no webhooks from 85 % on."""
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
    try:
        async with connected(
            url,
            name="gca-doctor",
            on_closed=lambda: None,
            credentials=situation.nats_credentials,
            patience=situation.seconds * 0.6,
        ) as connection:
            found = [ok(NAME, f"NATS {where}, JetStream on")]
            return found + await _inside(connection, situation)
    except AgentError as error:
        if "uthorization" not in str(error):
            raise
        mend = "put its user or token into NATS_URL, or set NATS_CREDENTIALS"
        return [broken(NAME, f"NATS {where} refuses our credentials", mend)]


async def _inside(connection: Connection, situation: Situation) -> list[Check]:
    changes = await diff(connection, topology())
    found = [layout(changes)]
    if found[0].state == "broken":
        return found
    found.append(room(await JetStreamLog(connection).fill()))
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
    mend = "give EVENTS a larger max_bytes, or a shorter max_age"
    if fill >= FULL:
        return broken(name, f"{share}: webhooks are answered 503", mend)
    if fill >= NEARLY_FULL:
        return warning(name, f"{share}; from {FULL:.0%} on webhooks are answered 503", mend)
    return ok(name, share)


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
