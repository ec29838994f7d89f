"""How many durable webhooks a second ingest takes, as a share of a bare handler's; its memory.

Both get the same bodies at the same number of connections, turn about, each on a nats-server of its
own with the settings of `gca up` (every acknowledged event is on disk).
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from bench.children import child, line, output_of, ports, ready
from bench.hooks import SECRET
from libs.common.jetstream.apply import apply
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.server import running_nats
from libs.common.jetstream.topology import topology

CONNECTIONS = 64
"""What the claim is about; the others show what few and many senders make of it."""
OTHERS = (1, 256)
WARM_UP = 500


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """One round of the load generator; seconds."""

    seconds: float
    statuses: dict[str, int]
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        return sum(self.statuses.values()) / self.seconds


class Intake(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs of rounds, one on ingest and one on the bare handler."""

    connections: int
    pairs: tuple[tuple[Load, Load], ...]
    hooks: int

    @property
    def shares(self) -> list[float]:
        return [ours.rate / bare.rate for ours, bare in self.pairs]


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """Hooks `first` and on of a run, `count` of them."""

    run: str
    first: int = 0
    count: int
    connections: int = CONNECTIONS
    secret: str = SECRET


async def load(port: int, asked: Round) -> Load:
    """One round; raises when any hook got another answer than 202."""
    count = asked.count
    arguments = ["--port", str(port), "--connections", str(asked.connections), "--run", asked.run]
    arguments += ["--first", str(asked.first), "--count", str(count), "--secret", asked.secret]
    found = msgspec.convert(json.loads(await output_of(["bench.load", *arguments])), Load)
    if found.statuses != {"202": count}:
        raise RuntimeError(f"{count} hooks were answered {found.statuses}")
    return found


async def measure(folder: Path, *, pairs: int, hooks: int, connections: int) -> Intake:
    """`pairs` times `hooks` webhooks at both; the one that goes first changes with each pair."""
    run = secrets.token_hex(4)
    total = WARM_UP + pairs * hooks
    async with _ingest(folder / "ours") as ours, _bare(folder / "bare", run, total) as bare:
        for port in (ours, bare):
            await load(port, Round(run=run, count=WARM_UP))
        found = []
        for number in range(pairs):
            first = WARM_UP + number * hooks
            asked = Round(run=run, first=first, count=hooks, connections=connections)
            turn = (ours, bare) if number % 2 == 0 else (bare, ours)
            rounds = {port: await load(port, asked) for port in turn}
            found.append((rounds[ours], rounds[bare]))
    return Intake(connections=connections, pairs=tuple(found), hooks=hooks)


@contextlib.asynccontextmanager
async def _ingest(folder: Path) -> AsyncIterator[int]:
    """The real service on a log of its own; yields its port."""
    async with durable_log(folder) as url:
        environment = ingest_environment(url)
        async with child(["services.ingest"], folder, environment) as found:
            await ready(found, int(environment["HEALTH_PORT"]))
            yield int(environment["PORT"])


@contextlib.asynccontextmanager
async def _bare(folder: Path, run: str, count: int) -> AsyncIterator[int]:
    async with durable_log(folder) as url:
        arguments = ["bench.bare", "--nats", url, "--run", run, "--count", str(count)]
        async with child(arguments, folder) as found:
            yield int(await line(found))


def ingest_environment(nats_url: str) -> dict[str, str]:
    return ports("PORT", "TASK_DOOR_PORT", "HEALTH_PORT") | {
        "NATS_URL": nats_url,
        "HOST": "127.0.0.1",
        "GITLAB_URL": "https://gitlab.example.com",
        "GITLAB_WEBHOOK_SECRET": SECRET,
        "TASK_DOOR_SECRET": secrets.token_urlsafe(24),
    }


@contextlib.asynccontextmanager
async def durable_log(folder: Path) -> AsyncIterator[str]:
    """A nats-server as `gca up` starts it, with the topology applied; yields its url."""
    async with running_nats(folder / "nats") as server:
        async with connected(server.url, name="bench", on_closed=lambda: None) as connection:
            await apply(connection, topology(), replicas=1)
        yield server.url
