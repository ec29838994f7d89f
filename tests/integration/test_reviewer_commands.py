"""`/copilot review` with a real log: consumers of one durable, repeats, and the reconciler."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from libs.common import subjects
from libs.common.clock import SystemClock
from libs.common.events.tasks import Refused, TaskRequested
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.consumer import Consumer
from libs.common.jetstream.dead_letters import DeadLetters
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import DEDUP, LOCKS
from libs.common.launching.effects import DoorAddress
from libs.common.launching.launches import Launches
from libs.common.launching.reconciler import Reconciler
from libs.common.launching.slots import Slots
from services.reviewer.handlers import on_event
from services.reviewer.superseding import superseded
from tests.fakes.launcher import FakeLauncher
from tests.fixtures.nats import all_settled
from tests.unit.reviewer.world import A, World

pytestmark = pytest.mark.real
REPLICAS = 2


@pytest.fixture
def world(event_log: JetStreamLog) -> World:
    return World(event_log, SystemClock())


@asynccontextmanager
async def reviewing(connection: Connection, world: World) -> AsyncIterator[None]:
    """Two replicas of the reviewer's consumer; at the end they finish what they have."""
    stopping = asyncio.Event()
    replicas = [
        Consumer(
            connection,
            durable="reviewer",
            handler=functools.partial(on_event, ports=world.ports()),
            dead=DeadLetters(connection),
            clock=world.clock,
        )
        for _ in range(REPLICAS)
    ]
    loops = [asyncio.create_task(replica.run(stopping)) for replica in replicas]
    try:
        yield
    finally:
        stopping.set()
        await asyncio.gather(*loops)


async def test_a_command_delivered_again_and_again_is_one_task(connection, world):
    noted = await world.noted("/copilot review")
    for _ in range(3):
        await world.append(f"retry.reviewer.{noted.subject}", noted.event)

    async with reviewing(connection, world):
        await all_settled(connection, "reviewer")

    history = await world.history()
    [request] = [r.event for r in history if isinstance(r.event, TaskRequested)]
    note_id = subjects.last_token(noted.subject)
    assert request.task_id == f"review-42-7-{A[:16]}-n{note_id}"


async def test_sr06_a_strangers_command_launches_nothing_and_ends_no_review(
    connection, event_log, world
):
    await world.seen()
    async with reviewing(connection, world):
        await all_settled(connection, "reviewer")
        await world.noted("/copilot review", None)
        await all_settled(connection, "reviewer")
    launcher = FakeLauncher()
    reconciler = Reconciler(
        log=event_log,
        launcher=launcher,
        slots=Slots(JetStreamKeyValue(connection, LOCKS), 5),
        launches=Launches(JetStreamKeyValue(connection, DEDUP)),
        clock=world.clock,
        kinds=frozenset({"review"}),
        source="reviewer",
        policy=lambda _, history: superseded(history),
        door=DoorAddress(url="http://127.0.0.1:1", secret="s"),
    )

    await reconciler.full_pass()

    assert [f"review-42-7-{A[:16]}-0"] == [job.task_id for job in await launcher.jobs()]
    ends = [r.event for r in await world.history() if r.subject.startswith("task.result.")]
    assert [True] == [isinstance(end, Refused) for end in ends]
