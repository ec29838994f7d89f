"""The coder with a real log: two replicas, their reconcilers, commands that come at once."""

# Replicas tell no test that they are done; waiting is by looking.
# ruff: noqa: ASYNC110

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from libs.common import subjects
from libs.common.clock import SystemClock
from libs.common.events.tasks import (
    Refused,
    Result,
    Superseded,
    TaskPublished,
    TaskRequested,
)
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.consumer import Consumer
from libs.common.jetstream.dead_letters import DeadLetters
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import DEDUP, LOCKS
from libs.common.launching.protocol import job_name
from libs.common.spending import Budgets
from services.coder.handlers import on_event
from tests.fixtures.nats import all_settled
from tests.unit.coder.world import BOB, A, B, C, Stores, World

pytestmark = pytest.mark.real
REPLICAS = 2
SHAS = (B, C, "e" * 40)


@pytest.fixture
def stores(connection: Connection, event_log: JetStreamLog) -> Stores:
    return Stores(
        clock=SystemClock(),
        log=event_log,
        kv=JetStreamKeyValue(connection, DEDUP),
        locks=JetStreamKeyValue(connection, LOCKS),
    )


@pytest.fixture
def world(stores: Stores) -> World:
    return World(stores=stores)


@asynccontextmanager
async def coding(connection: Connection, world: World) -> AsyncIterator[None]:
    """Two replicas of the coder, consumer and reconciler each."""
    stopping = asyncio.Event()
    loops = []
    for _ in range(REPLICAS):
        reconciler = world.reconciler()
        consumer = Consumer(
            connection,
            durable="coder",
            handler=functools.partial(on_event, ports=world.ports(wake=reconciler.wake)),
            dead=DeadLetters(connection),
            clock=world.clock,
        )
        loops += [
            asyncio.create_task(consumer.run(stopping)),
            asyncio.create_task(reconciler.run(stopping)),
        ]
    try:
        yield
    finally:
        stopping.set()
        await asyncio.gather(*loops)


async def requests(world: World) -> list[TaskRequested]:
    records = await world.log.history("task.requested.>")
    return [r.event for r in records if isinstance(r.event, TaskRequested)]


async def results(world: World) -> list[Result]:
    records = await world.log.history("task.result.>")
    return [r.event for r in records if isinstance(r.event, Result)]


async def running(world: World) -> TaskRequested:
    """The one task whose Job runs, once there is one."""
    async with asyncio.timeout(20):
        while not world.launcher.running:
            await asyncio.sleep(0.02)
    [task_id] = [job.task_id for job in world.launcher.running.values()]
    return next(one for one in await requests(world) if one.task_id == task_id)


async def do(world: World, sha: str) -> TaskRequested:
    """Runner and publisher for the task that runs."""
    request = await running(world)
    world.launcher.exit(job_name(request.kind, request.task_id), exit_code=0)
    await world.proposed(request)
    await world.published(request, sha)
    async with asyncio.timeout(20):
        while job_name(request.kind, request.task_id) in world.launcher.running:
            await asyncio.sleep(0.02)
    return request


async def test_commands_at_once_on_one_branch_give_one_commit_each_on_the_one_before(
    connection, world
):
    """Two replicas, every event twice; which is decided first is up to them."""
    async with coding(connection, world):
        noted = await asyncio.gather(
            world.note("/copilot first"),
            world.note("/copilot second", BOB),
            world.note("/copilot third"),
        )
        for record in noted:
            await world.append(f"retry.coder.{record.subject}", record.event)
        done = [await do(world, sha) for sha in SHAS]
        await all_settled(connection, "coder")

    assert ["first", "second", "third"] == sorted(request.instruction for request in done)
    assert [A, B, C] == [request.head_sha for request in done]
    published = await world.log.history("task.published.>")
    assert list(SHAS) == [
        r.event.commit_sha for r in published if isinstance(r.event, TaskPublished)
    ]
    ends = await results(world)
    assert 2 == sum(isinstance(end, Superseded) for end in ends)
    assert {end.task_id for end in ends} == {one.task_id for one in await requests(world)}


async def test_sr_08_a_push_between_note_and_run_starts_nothing(connection, world):
    await world.note("/copilot first")
    await world.push(B)

    async with coding(connection, world):
        await all_settled(connection, "coder")

    [end] = await results(world)
    assert isinstance(end, Refused)
    assert "moved" == end.code
    assert [] == world.launcher.orders


async def test_sr_43_many_commands_at_once_start_no_more_than_the_budget(connection, stores):
    world = World(Budgets(place=3), stores=stores)
    for number in range(12):
        await world.note(f"/copilot ask what is {number}?")

    async with coding(connection, world):
        await all_settled(connection, "coder")
        async with asyncio.timeout(20):
            while len(world.launcher.orders) < 3:
                await asyncio.sleep(0.02)

    ends = await results(world)
    assert ["budget"] * 9 == [end.code for end in ends if isinstance(end, Refused)]
    assert 8 == sum(end.quiet for end in ends if isinstance(end, Refused))
    assert 3 == len(world.launcher.orders)


async def test_an_issue_becomes_one_job_however_often_it_is_seen(connection, world):
    ready = await world.ready()
    for number in range(3):
        again = f"retry.coder.{subjects.jira_ready('SHOP', 12, f'again{number}')}"
        await world.append(again, ready.event)

    async with coding(connection, world):
        request = await running(world)
        await all_settled(connection, "coder")

    branches = [one.push.branch for one in await requests(world)]
    assert "agent/SHOP-12" == request.push.branch
    assert len(set(branches)) == len(branches)
