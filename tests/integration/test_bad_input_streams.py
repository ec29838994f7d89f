"""Buckets gone, a durable deleted, a full log, all under running parts: said, and mended."""

# The server cannot set our events; waiting is by looking.
# ruff: noqa: ASYNC110

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from libs.common import subjects
from libs.common.clock import SystemClock
from libs.common.errors import Temporary
from libs.common.events.envelope import Recorded
from libs.common.events.tasks import TaskFailed
from libs.common.jetstream.apply import apply
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.consumer import Consumer
from libs.common.jetstream.dead_letters import DeadLetters
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.leases import Leases
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import LOCKS, topology
from libs.common.launching.slots import Slots
from tests.contract.event_log import opened
from tests.fakes.launcher import FakeLauncher
from tests.fixtures.nats import SMALL
from tests.integration.test_reconciling import fresh
from tests.integration.test_reconciling_load import House, running
from tests.unit.launching import examples
from tests.unit.launching.examples import request

pytestmark = pytest.mark.real
APPLY = "was `gca topology apply` run"


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def put_back(connection: Connection) -> None:
    await apply(connection, topology(max_bytes=SMALL), replicas=1)


def said(lines: list[Any], words: str) -> bool:
    return any(words in str(line) for line in lines)


async def test_a_lease_in_a_bucket_that_is_gone_names_what_to_run(connection: Connection):
    leases = Leases(JetStreamKeyValue(connection, LOCKS), SystemClock())
    lease = await leases.acquire("k", "a")
    assert lease is not None
    await connection.api(f"STREAM.DELETE.KV_{LOCKS}")
    with pytest.raises(Temporary, match=APPLY):
        await lease.renew()
    assert lease.valid(), "one failed renewal says nothing yet"
    with pytest.raises(Temporary, match="topology appl"):
        await leases.acquire("other", "a")
    await put_back(connection)
    assert not await lease.renew(), "it was in the bucket that is gone"
    assert not lease.valid()


async def test_slots_whose_bucket_is_gone_start_nothing_and_go_on_when_it_is_back(
    connection: Connection,
):
    launcher = FakeLauncher()
    house = House(connection, launcher)
    reconciler = house.replica("review", slots=1)
    await connection.api(f"STREAM.DELETE.KV_{LOCKS}")
    task = fresh(1)
    with capture_logs() as lines:
        async with running(reconciler):
            await examples.requested(house.log, task)
            reconciler.wake(subjects.task_requested(task.scope, task.ref, task.task_id))
            await until(lambda: said(lines, APPLY))
            assert launcher.orders == []
            await put_back(connection)
            await until(lambda: launcher.orders)
    assert list(await Slots(house.locks, 1).held()) == [task.task_id]


async def test_a_bucket_that_goes_while_jobs_run_ends_none_of_them(connection: Connection):
    launcher = FakeLauncher()
    house = House(connection, launcher)
    reconciler = house.replica("review", slots=1)
    task = fresh(1)
    await examples.requested(house.log, task)
    await reconciler.full_pass()
    await connection.api(f"STREAM.DELETE.KV_{LOCKS}")
    with pytest.raises(Temporary, match=APPLY):
        await reconciler.full_pass()
    await put_back(connection)
    await reconciler.full_pass()
    assert (len(launcher.orders), launcher.cancelled) == (1, [])
    assert list(await Slots(house.locks, 1).held()) == [task.task_id], "taken again"


async def test_a_bucket_of_launch_counts_that_is_gone_launches_nothing(connection: Connection):
    launcher = FakeLauncher()
    house = House(connection, launcher)
    await examples.requested(house.log, fresh(1))
    await connection.api("STREAM.DELETE.KV_DEDUP")
    with pytest.raises(Temporary, match=APPLY):
        await house.replica("review", slots=1).full_pass()
    assert launcher.orders == []


async def test_a_durable_deleted_under_a_running_service_is_said_and_nothing_is_lost(
    connection: Connection, event_log: JetStreamLog
):
    seen: list[Recorded] = []

    async def handler(event: Recorded) -> None:
        seen.append(event)

    consumer = Consumer(
        connection,
        durable="reviewer",
        handler=handler,
        dead=DeadLetters(connection),
        clock=SystemClock(),
    )
    stopping = asyncio.Event()
    with capture_logs() as lines:
        loop = asyncio.create_task(consumer.run(stopping))
        await event_log.append(opened())
        await until(lambda: seen)
        await connection.api("CONSUMER.DELETE.EVENTS.reviewer")
        await until(lambda: said(lines, APPLY))
        await examples.requested(event_log, fresh(1))
        await examples.ended(event_log, fresh(1))
        await put_back(connection)
        await until(lambda: said([r.subject for r in seen], "task.result."))
        stopping.set()
        await loop
    # A new durable begins at the beginning: handlers bear every event again.
    assert [record.seq for record in seen[:2]] == [1, 1]


async def fill(connection: Connection) -> None:
    """To the last byte."""
    number = 0
    for size in (50_000, 1_000, 1):
        with contextlib.suppress(Temporary):
            while True:
                await connection.publish(f"mr.opened.1.{number}.x", b"x" * size)
                number += 1


async def test_a_full_log_keeps_the_end_of_a_task_until_there_is_room(
    bare_connection: Connection,
):
    await apply(bare_connection, topology(max_bytes=1024**2), replicas=1)
    launcher = FakeLauncher()
    house = House(bare_connection, launcher)
    late = request(7)
    await examples.requested(house.log, late)
    await fill(bare_connection)
    reconciler = house.replica("review", slots=1)
    with capture_logs() as lines:
        await reconciler.full_pass()
    assert said(lines, "The log is full")
    assert said(lines, "raise its max_bytes")
    subject = subjects.task_result(late.scope, late.ref, late.task_id)
    assert await house.log.last(subject) is None
    await bare_connection.api("STREAM.PURGE.EVENTS", {"filter": "mr.opened.1.>"})
    await reconciler.full_pass()
    end = await house.log.last(subject)
    assert end is not None
    assert isinstance(end.event, TaskFailed)
