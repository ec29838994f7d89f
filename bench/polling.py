"""What a look of the GitLab poller costs where nothing changed: calls and seconds.

The poller runs here, against the simulated GitLab over HTTP and a real log.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from libs.common.jetstream.apply import apply
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.server import running_nats
from libs.common.jetstream.topology import topology
from tests.integration.polled_world import World, fill, polled_world

OPEN_IN_EACH = (1, 5)
_REST = 86_400


class Polled(msgspec.Struct, frozen=True, kw_only=True):
    """Looks at so many projects at rest; `calls` of the look that made most, seconds of each."""

    projects: int
    open_in_each: int
    calls: int
    seconds: tuple[float, ...]


async def measure(folder: Path, *, projects: int, looks: int) -> list[Polled]:
    """One for each number of open merge requests in a project, in a GitLab of its own."""
    return [
        await _measured(folder / str(number), projects, number, looks) for number in OPEN_IN_EACH
    ]


async def _measured(folder: Path, projects: int, open_in_each: int, looks: int) -> Polled:
    async with (
        running_nats(folder / "nats") as server,
        connected(server.url, name="bench", on_closed=lambda: None, patience=20) as connection,
    ):
        await apply(connection, topology(), replicas=1)
        async with polled_world(connection, folder) as world:
            like = await world.opened(world.project())
            fill(world.gitlab, like, projects=projects, open_in_each=open_in_each)
            calls, seconds = await _looks(world, looks)
    return Polled(
        projects=projects, open_in_each=open_in_each, calls=max(calls), seconds=tuple(seconds)
    )


async def _looks(world: World, number: int) -> tuple[list[int], list[float]]:
    """Calls and seconds of so many looks, after one that saw what is there."""
    world.gitlab.advance(_REST)
    await world.look()
    calls, seconds = [], []
    for _ in range(number):
        began = time.perf_counter()
        calls.append(len(await world.calls()))
        seconds.append(time.perf_counter() - began)
    return calls, seconds
