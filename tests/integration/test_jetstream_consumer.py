from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from libs.common.clock import Clock, SystemClock
from libs.common.errors import Permanent, Temporary
from libs.common.events.envelope import Recorded
from libs.common.jetstream import dead_letters, reading
from libs.common.jetstream.apply import apply
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.consumer import Consumer, Handler
from libs.common.jetstream.dead_letters import DeadLetters
from libs.common.jetstream.deliveries import Delivery, Pull
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.reading import Stored
from libs.common.jetstream.server import NatsServer
from libs.common.jetstream.settling import ConsumerLimits
from libs.common.jetstream.starts import Starts
from libs.common.jetstream.topology import DEDUP, Durable, topology
from tests.contract.event_log import closed, opened, published
from tests.fakes.clock import FakeClock
from tests.fixtures import nats
from tests.fixtures.nats import SMALL, never_closed

pytestmark = pytest.mark.real

QUICK = ConsumerLimits(backoff=0.01, drain=5)
IMPATIENT = Durable(name="impatient", filters=("mr.>", "task.published.>"), ack_wait=1)


@pytest.fixture
async def connection(bare_connection: Connection) -> Connection:
    wanted = topology(max_bytes=SMALL, durables=(IMPATIENT,))
    await apply(bare_connection, wanted, replicas=1)
    return bare_connection


@asynccontextmanager
async def consuming(
    connection: Connection,
    handler: Handler,
    *,
    limits: ConsumerLimits = QUICK,
    clock: Clock | None = None,
) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    consumer = Consumer(
        connection,
        durable=IMPATIENT.name,
        handler=handler,
        dead=DeadLetters(connection),
        clock=clock or SystemClock(),
        limits=limits,
    )
    task = asyncio.create_task(consumer.run(stopping))
    try:
        yield
    finally:
        stopping.set()
        await task


async def until(condition: Callable[[], Awaitable[bool]], *, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110  # the server cannot set our event
            await asyncio.sleep(0.02)


async def all_settled(connection: Connection) -> None:
    await nats.all_settled(connection, IMPATIENT.name)


async def letters(connection: Connection) -> list[Stored]:
    return await reading.last_per_subject(connection, "DEAD_LETTERS", ["dead.>"])


async def taken_and_lost(connection: Connection) -> Delivery:
    """One delivery to a process that dies with it in hand."""
    got: asyncio.Queue[Delivery] = asyncio.Queue()
    pull = Pull(connection, "EVENTS", IMPATIENT.name, got.put_nowait)
    await pull.open()
    await pull.ask(1)
    async with asyncio.timeout(10):
        delivery = await got.get()
    await pull.close()
    return delivery


async def taken_and_died(connection: Connection) -> None:
    """The same, and the handler had begun; the next one need not wait for ack_wait."""
    delivery = await taken_and_lost(connection)
    keys = JetStreamKeyValue(connection, DEDUP)
    starts = Starts(keys, IMPATIENT.name, QUICK.give_up_after)
    seq, delivered = delivery.stored.seq, delivery.delivered
    await starts.begin(seq, delivered, await starts.before(seq, delivered))
    await connection.send(delivery.reply, b"-NAK")


class Seen:
    """A handler that remembers, and fails as often as it is told."""

    def __init__(self, *failures: Exception) -> None:
        self.events: list[Recorded] = []
        self._failures = list(failures)

    async def was_called(self) -> bool:
        return bool(self.events)

    async def __call__(self, event: Recorded) -> None:
        self.events.append(event)
        if self._failures:
            raise self._failures.pop(0)


async def test_a_handled_event_is_acknowledged(
    connection: Connection, event_log: JetStreamLog
) -> None:
    seen = Seen()
    async with consuming(connection, seen):
        await event_log.append(opened())
        await event_log.append(closed())
        await all_settled(connection)
    assert [event.event for event in seen.events] == [opened().event, closed().event]
    assert seen.events == await event_log.history("mr.>")


async def test_a_large_event_reaches_the_handler_whole(
    connection: Connection, event_log: JetStreamLog
) -> None:
    seen = Seen()
    new = published("t1", "x" * 1_000_000)
    await event_log.append(new)
    async with consuming(connection, seen):
        await all_settled(connection)
    assert [event.event for event in seen.events] == [new.event]


async def test_temporary_failures_are_not_counted_however_many(
    connection: Connection, event_log: JetStreamLog
) -> None:
    away = Temporary("GitLab answers 502", delay=0.01, peer="gitlab")
    first, second = Seen(*[away] * 1000), Seen(*[away] * 4)
    await event_log.append(opened())

    async def eight() -> bool:
        return len(first.events) >= 8

    async with consuming(connection, first):
        await until(eight)
    async with consuming(connection, second):
        await all_settled(connection)
    assert len(second.events) == 5, "four failures, then success, in a process started anew"
    assert await letters(connection) == []


async def test_a_temporary_failure_is_given_up_after_a_day(
    connection: Connection, event_log: JetStreamLog
) -> None:
    clock = FakeClock(SystemClock().now() + timedelta(hours=25))
    await event_log.append(opened())
    async with consuming(connection, Seen(Temporary("no answer")), clock=clock):
        await all_settled(connection)
    (letter,) = await letters(connection)
    assert letter.headers[dead_letters.REASON] == "gave up after 24 h: no answer"


async def test_a_consumer_pauses_while_its_peer_is_down(
    connection: Connection, event_log: JetStreamLog
) -> None:
    away = Temporary("GitLab is away", delay=1.0, peer="gitlab")
    seen = Seen(away, away)
    for iid in (1, 2, 3):
        await event_log.append(opened(iid=iid))
    started = asyncio.get_running_loop().time()
    async with consuming(connection, seen, limits=ConsumerLimits(concurrency=1)):
        await all_settled(connection)
    assert [event.event.iid for event in seen.events[:2]] == [1, 2], "two failed, then a pause"
    assert len(seen.events) == 5
    assert asyncio.get_running_loop().time() - started >= 1.0


async def test_a_peer_that_fails_at_one_message_keeps_no_other_waiting(
    connection: Connection, event_log: JetStreamLog
) -> None:
    seen = Seen(Temporary("no answer to the write", delay=60.0, peer="gitlab"))
    for iid in (1, 2, 3):
        await event_log.append(opened(iid=iid))

    async def all_seen() -> bool:
        return len(seen.events) >= 3

    async with consuming(connection, seen, limits=ConsumerLimits(concurrency=1)):
        await until(all_seen)
    assert [event.event.iid for event in seen.events] == [1, 2, 3]


async def test_a_permanent_failure_is_a_dead_letter_at_once(
    connection: Connection, event_log: JetStreamLog
) -> None:
    seen = Seen(Permanent("no such\nproject"))
    new = opened()
    appended = await event_log.append(new)
    async with consuming(connection, seen):
        await all_settled(connection)
    (letter,) = await letters(connection)
    (original,) = await reading.last_per_subject(connection, "EVENTS", [new.subject])
    assert len(seen.events) == 1
    assert letter.subject == f"dead.impatient.{new.subject}"
    assert letter.body == original.body
    assert letter.headers["ce-id"] == new.message_id
    assert letter.headers["Nats-Msg-Id"] == f"dead-EVENTS-{appended.seq}-impatient"
    assert letter.headers[dead_letters.REASON] == "no such project"
    assert letter.headers[dead_letters.ATTEMPTS] == "1"


async def test_a_created_event_can_become_a_dead_letter(
    connection: Connection, event_log: JetStreamLog
) -> None:
    await event_log.create(published("t1", "x"))
    async with consuming(connection, Seen(Permanent("no"))):
        await all_settled(connection)
    assert len(await letters(connection)) == 1


async def test_a_bug_is_tried_five_times_and_then_a_dead_letter(
    connection: Connection, event_log: JetStreamLog
) -> None:
    seen = Seen(*[RuntimeError("a bug")] * 99)
    await event_log.append(opened())
    async with consuming(connection, seen):
        await all_settled(connection)
    (letter,) = await letters(connection)
    assert len(seen.events) == 5
    assert letter.headers[dead_letters.ATTEMPTS] == "6"
    assert "5 times" in letter.headers[dead_letters.REASON]


async def test_a_handler_cancelled_from_inside_counts_as_a_bug(
    connection: Connection, event_log: JetStreamLog
) -> None:
    seen: list[Recorded] = []

    async def cancelled_inside(event: Recorded) -> None:
        seen.append(event)
        raise asyncio.CancelledError

    await event_log.append(opened())
    async with consuming(connection, cancelled_inside):
        await all_settled(connection)
    assert len(seen) == 5
    assert len(await letters(connection)) == 1


async def test_a_message_that_killed_five_processes_never_reaches_the_sixth(
    connection: Connection, event_log: JetStreamLog
) -> None:
    await event_log.append(opened())
    for _ in range(5):
        await taken_and_died(connection)
    seen = Seen()
    async with consuming(connection, seen):
        await all_settled(connection)
    assert seen.events == []
    assert len(await letters(connection)) == 1


async def test_deaths_before_a_run_that_ended_in_order_do_not_count(
    connection: Connection, event_log: JetStreamLog
) -> None:
    """A service that is killed again and again is not killed by the message it has in hand."""
    await event_log.append(opened())
    outage = Seen(Temporary("GitLab answers 502", delay=1))
    for handler in (outage, Seen()):
        for _ in range(4):
            await taken_and_died(connection)
        async with consuming(connection, handler):
            await until(handler.was_called)
            if handler is not outage:
                await all_settled(connection)
    assert await letters(connection) == []


async def test_deliveries_that_nobody_began_do_not_count(
    connection: Connection, event_log: JetStreamLog
) -> None:
    """They are lost with a connection, or wait for a bucket that is away."""
    await event_log.append(opened())
    for _ in range(9):
        delivery = await taken_and_lost(connection)
        await connection.send(delivery.reply, b"-NAK")  # instead of waiting for ack_wait
    seen = Seen()
    async with consuming(connection, seen):
        await all_settled(connection)
    assert len(seen.events) == 1
    assert await letters(connection) == []


async def test_what_a_crashed_process_had_in_hand_is_delivered_again(
    connection: Connection, event_log: JetStreamLog
) -> None:
    await event_log.append(opened())
    await taken_and_lost(connection)
    seen = Seen()
    async with consuming(connection, seen):
        await all_settled(connection)
    assert len(seen.events) == 1


async def test_a_body_that_is_no_event_is_a_dead_letter(
    connection: Connection, event_log: JetStreamLog
) -> None:
    await connection.publish("mr.opened.42.7.cafe", b"\xff not json", headers={"ce-id": "odd"})
    await event_log.append(opened())
    seen = Seen()
    async with consuming(connection, seen):
        await all_settled(connection)
    (letter,) = await letters(connection)
    assert letter.body == b"\xff not json"
    assert letter.headers["ce-id"] == "odd"
    assert len(seen.events) == 1
    assert [event.event for event in await event_log.history("mr.>")] == [opened().event]


async def test_a_slow_handler_keeps_its_message(
    connection: Connection, event_log: JetStreamLog
) -> None:
    runs = 0

    async def slow(_event: Recorded) -> None:
        nonlocal runs
        runs += 1
        await asyncio.sleep(2.5)

    await event_log.append(opened())
    async with consuming(connection, slow):
        await all_settled(connection)
    assert runs == 1


async def test_concurrency_is_bounded(connection: Connection, event_log: JetStreamLog) -> None:
    now = most = 0

    async def count(_event: Recorded) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1

    for iid in range(30):
        await event_log.append(opened(iid=iid))
    async with consuming(connection, count, limits=ConsumerLimits(concurrency=3)):
        await all_settled(connection)
    assert most == 3


async def test_stopping_lets_the_handler_in_flight_finish(
    connection: Connection, event_log: JetStreamLog
) -> None:
    begun, finished = asyncio.Event(), asyncio.Event()

    async def handler(_event: Recorded) -> None:
        begun.set()
        await asyncio.sleep(0.3)
        finished.set()

    await event_log.append(opened())
    async with consuming(connection, handler):
        await begun.wait()
    assert finished.is_set()
    assert await nats.settled(connection, IMPATIENT.name)


async def test_a_handler_that_outlasts_the_drain_gives_its_message_to_another(
    connection: Connection, event_log: JetStreamLog
) -> None:
    begun = asyncio.Event()

    async def stuck(_event: Recorded) -> None:
        begun.set()
        await asyncio.Event().wait()

    await event_log.append(opened())
    async with consuming(connection, stuck, limits=ConsumerLimits(drain=0.1)):
        await begun.wait()
    seen = Seen()
    async with consuming(connection, seen):
        await all_settled(connection)
    assert len(seen.events) == 1


async def test_two_replicas_share_the_work(
    connection: Connection, nats_server: NatsServer, event_log: JetStreamLog
) -> None:
    here, there = Seen(), Seen()

    async def all_seen() -> bool:
        return len(here.events) + len(there.events) >= 200

    async with (
        connected(nats_server.url, name="other", on_closed=never_closed) as other,
        consuming(connection, here),
        consuming(other, there),
    ):
        for iid in range(200):
            await event_log.append(opened(iid=iid))
        await until(all_seen)
    iids = [event.seq for event in here.events + there.events]
    assert sorted(iids) == sorted(set(iids)), "each event was handled once"
    assert here.events
    assert there.events


async def test_a_missing_durable_is_waited_for(connection: Connection) -> None:
    await connection.api("CONSUMER.DELETE.EVENTS.impatient")
    seen = Seen()
    async with consuming(connection, seen):
        await JetStreamLog(connection).append(opened())
        await asyncio.sleep(0.3)
        wanted = topology(max_bytes=SMALL, durables=(IMPATIENT,))
        await apply(connection, wanted, replicas=1)
        await all_settled(connection)
    assert len(seen.events) == 1


async def test_nothing_is_lost_when_the_server_is_killed_under_load(
    own_nats_server: NatsServer,
) -> None:
    server, count, seen = own_nats_server, 300, Seen()
    wanted = topology(max_bytes=SMALL, durables=(IMPATIENT,))

    async with connected(server.url, name="load", on_closed=never_closed) as connection:
        await apply(connection, wanted, replicas=1)
        log = JetStreamLog(connection)

        async def append_all() -> None:
            for iid in range(count):
                while True:
                    try:
                        await log.append(opened(iid=iid))
                        break
                    except Temporary:
                        await asyncio.sleep(0.05)

        async def at_least(number: int) -> bool:
            return len({event.subject for event in seen.events}) >= number

        async with consuming(connection, seen):
            appending = asyncio.create_task(append_all())
            for part in (50, 150):
                await until(lambda part=part: at_least(part))  # type: ignore[misc]  # a default
                await server.kill()
                await server.start()
            await appending
            await until(lambda: at_least(count))
        assert len(await log.subjects("mr.>")) == count


async def test_after_a_restart_the_pull_is_asked_again_at_once(
    own_nats_server: NatsServer,
) -> None:
    server, seen = own_nats_server, Seen()
    wanted = topology(max_bytes=SMALL, durables=(IMPATIENT,))

    async def one() -> bool:
        return len(seen.events) == 1

    async with connected(server.url, name="idle", on_closed=never_closed) as connection:
        await apply(connection, wanted, replicas=1)
        async with consuming(connection, seen):
            await asyncio.sleep(0.2)
            back = connection.next_reconnect
            await server.kill()
            await server.start()
            async with asyncio.timeout(10):
                await back.wait()
            await JetStreamLog(connection).append(opened())
            await until(one, seconds=2)
