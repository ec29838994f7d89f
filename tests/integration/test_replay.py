"""`gca replay` on a real NATS, with the reviewer behind it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from contextlib import asynccontextmanager

import pytest

from libs.common import subjects
from libs.common.clock import SystemClock
from libs.common.events.facts import MrOpened
from libs.common.events.tasks import ReviewDone, TaskFailed, TaskRequested
from libs.common.jetstream.consumer import Consumer
from libs.common.jetstream.dead_letters import DeadLetters
from services.reviewer.handlers import on_event
from tests.fixtures.nats import all_settled
from tests.integration.gca import gca_at
from tests.unit.reviewer.world import A, World

pytestmark = pytest.mark.real
FIRST = f"review-42-7-{A[:16]}-0"


@pytest.fixture
def world(event_log) -> World:
    return World(event_log, SystemClock())


@pytest.fixture
def gca(connection, nats_server):  # noqa: ARG001  # the topology must be there
    """Runs `gca replay …`; the exit code and what was printed."""
    return gca_at(nats_server.url, "replay")


@asynccontextmanager
async def reviewing(connection, world):
    """The reviewer's consumer, until it has settled every event."""
    stopping = asyncio.Event()
    consumer = Consumer(
        connection,
        durable="reviewer",
        handler=functools.partial(on_event, ports=world.ports()),
        dead=DeadLetters(connection),
        clock=world.clock,
    )
    loop = asyncio.create_task(consumer.run(stopping))
    try:
        yield
        await all_settled(connection, "reviewer")
    finally:
        stopping.set()
        await loop


async def task_ids(world) -> list[str]:
    found = await world.log.history(subjects.history(42, 7))
    return [r.event.task_id for r in found if isinstance(r.event, TaskRequested)]


async def messages(connection) -> int:
    return (await connection.api("STREAM.INFO.EVENTS"))["state"]["messages"]


async def reviewed(connection, world) -> None:
    await world.seen()
    async with reviewing(connection, world):
        pass
    await world.end(ReviewDone(task_id=FIRST, head_sha=A, summary="fine"))
    await world.publish(FIRST, "posted")


async def test_a_replayed_head_is_reviewed_once_more_and_the_same_id_twice_is_one(
    connection, world, gca
):
    await reviewed(connection, world)

    async with reviewing(connection, world):
        first = await gca("mr.opened.42.>", "--since", "1h", "--id", "night", answer="y")
        second = await gca("mr.opened.42.>", "--since", "1h", "--id", "night", "--yes")

    assert (0, 0) == (first[0], second[0])
    assert "last time: done" in first[1]
    assert "replay night: 1 of 1 appended" in first[1]
    assert [FIRST, f"review-42-7-{A[:16]}-rnight"] == await task_ids(world)
    record = await world.log.last(subjects.mr_opened(42, 7, A))
    assert record.replay_of
    assert f"replay-night-{record.replay_of}" == record.message_id


@pytest.mark.parametrize("words", [["--dry-run", "--yes"], []], ids=["dry run", "answered no"])
async def test_nothing_is_appended_before_somebody_agrees(connection, world, gca, words):
    await world.seen()
    before = await messages(connection)

    code, shown = await gca("mr.opened.>", "--since", "1h", *words)

    assert before == await messages(connection)
    assert "1 event found, 1 to replay" in shown
    assert code == (0 if words else 1)


async def test_only_failed_takes_what_failed(connection, world, gca):
    await reviewed(connection, world)
    good = await gca("mr.opened.>", "--since", "1h", "--only-failed", "--yes")
    await world.append(
        subjects.task_requested(42, 7, "x"),
        (await world.log.last(subjects.task_requested(42, 7, FIRST))).event,
    )
    await world.end(TaskFailed(task_id=FIRST, head_sha=A, reason="model"))
    await connection.api("STREAM.PURGE.EVENTS", {"filter": "task.published.>"})
    bad = await gca("mr.opened.>", "--since", "1h", "--only-failed", "--yes")

    assert "1 event found, 0 to replay" in good[1]
    assert "it did not fail" in good[1]
    assert "1 of 1 appended" in bad[1]


async def test_only_the_window_and_the_newest_of_each_subject_are_taken(world, gca):
    await world.seen()
    await world.seen()
    last = await world.log.last(subjects.mr_opened(42, 7, A))
    until = last.time.isoformat()

    before = await gca("mr.>", "--since", "2h", "--until", "1h", "--dry-run")
    within = await gca("*.*.42.7.>", "--since", "1h", "--until", until, "--dry-run")

    assert "0 events found" in before[1]
    assert "1 event found" in within[1]


@pytest.mark.parametrize(("rate", "seconds"), [("5", 0.4), ("1000", 0.0)])
async def test_events_go_no_faster_than_asked(world, gca, rate, seconds):
    for iid in (1, 2, 3):
        fact = MrOpened(project_id=42, iid=iid, head_sha=A, why="open")
        await world.append(subjects.mr_opened(42, iid, A), fact)
    started = asyncio.get_running_loop().time()

    _, shown = await gca("mr.>", "--since", "1h", "--yes", "--rate", rate)

    assert "3 of 3 appended" in shown
    assert asyncio.get_running_loop().time() - started >= seconds


async def test_a_replay_that_was_broken_off_says_how_it_goes_on(connection, world, gca):
    for iid in (1, 2, 3):
        fact = MrOpened(project_id=42, iid=iid, head_sha=A, why="open")
        await world.append(subjects.mr_opened(42, iid, A), fact)

    running = asyncio.create_task(
        gca("mr.>", "--since", "1h", "--yes", "--rate", "1", "--id", "night")
    )
    async with asyncio.timeout(10):
        while await messages(connection) < 4:  # noqa: ASYNC110  # the server sets no event
            await asyncio.sleep(0.01)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    _, shown = await gca("mr.>", "--since", "1h", "--yes", "--rate", "1000", "--id", "night")

    assert "2 of 3 appended, 1 there already" in shown
