"""What becomes a dead letter and what does not: deadly messages, and a long outage of GitLab."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from libs.common.clock import SystemClock
from libs.common.errors import Temporary
from libs.common.events.envelope import Recorded
from libs.common.jetstream import dead_letters, reading
from libs.common.jetstream.apply import apply
from libs.common.jetstream.consumer import Consumer
from libs.common.jetstream.dead_letters import DeadLetters
from libs.common.jetstream.settling import ConsumerLimits
from libs.common.jetstream.topology import Durable, topology
from tests.contract.event_log import opened
from tests.fakes.clock import FakeClock
from tests.fixtures.nats import SMALL, all_settled, settled

pytestmark = pytest.mark.real
ROOT = Path(__file__).parents[2]
IMPATIENT = Durable(name="impatient", filters=("mr.>",), ack_wait=1)
DEATHS = ConsumerLimits().poison_after


@pytest.fixture
async def connection(bare_connection):
    wanted = topology(max_bytes=SMALL, durables=(IMPATIENT,))
    await apply(bare_connection, wanted, replicas=1)
    return bare_connection


async def letters(connection):
    return await reading.last_per_subject(connection, "DEAD_LETTERS", ["dead.>"])


async def test_a_message_that_kills_its_handler_is_a_letter_before_it_runs_once_more(
    connection, nats_server, event_log, tmp_path
):
    seen = tmp_path / "seen"
    await event_log.append(opened())
    ended: list[int] = []
    running = None
    try:
        async with asyncio.timeout(60):
            while not await letters(connection):
                if running is None or running.returncode is not None:
                    ended += [running.returncode] if running is not None else []
                    running = await asyncio.create_subprocess_exec(
                        sys.executable,
                        str(Path(__file__).with_name("consumer_process.py")),
                        nats_server.url,
                        IMPATIENT.name,
                        str(seen),
                        cwd=ROOT,
                        env={"PYTHONPATH": str(ROOT)},
                        stdout=asyncio.subprocess.DEVNULL,
                        stderr=asyncio.subprocess.DEVNULL,
                    )
                await asyncio.sleep(0.05)
    finally:
        if running is not None and running.returncode is None:
            running.kill()
            await running.wait()

    assert [-9] * DEATHS == ended
    assert DEATHS == len(seen.read_text(encoding="utf-8").split())
    [letter] = await letters(connection)
    assert str(DEATHS + 1) == letter.headers[dead_letters.ATTEMPTS]
    assert f"failed or died on it {DEATHS} times" in letter.headers[dead_letters.REASON]


async def test_two_hours_without_gitlab_make_no_dead_letter(connection, event_log):
    clock = FakeClock(SystemClock().now())
    until = clock.now() + timedelta(hours=2)
    tries: list[Recorded] = []
    done: list[Recorded] = []

    async def handler(event: Recorded) -> None:
        tries.append(event)
        clock.advance(60)
        if clock.now() < until:
            raise Temporary("GitLab answers 502", delay=0.001, peer="gitlab")
        done.append(event)

    await event_log.append(opened(iid=1))
    await event_log.append(opened(iid=2))
    for restart in (True, False):
        stopping = asyncio.Event()
        consumer = Consumer(
            connection,
            durable=IMPATIENT.name,
            handler=handler,
            dead=DeadLetters(connection),
            clock=clock,
        )
        running = asyncio.create_task(consumer.run(stopping))
        async with asyncio.timeout(60):
            while (len(tries) < 40) if restart else not await settled(connection, IMPATIENT.name):  # noqa: ASYNC110  # the server sets no event
                await asyncio.sleep(0.02)
        stopping.set()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    assert {1, 2} == {record.seq for record in done}
    assert len(tries) >= 120
    assert [] == await letters(connection)


@pytest.mark.parametrize(
    "body",
    [b'{"type":"mr.opened.v1","x":' + b"[" * 100_000, b"\xff\xfe", b"9" * 5000, b""],
    ids=["nested too deeply", "no text", "a long number", "nothing"],
)
async def test_a_body_that_breaks_the_decoder_is_a_letter_at_once_and_ends_nothing_else(
    connection, event_log, body
):
    seen: list[Recorded] = []
    good = opened()
    await connection.publish("mr.opened.42.7.ffffffffffffffff", body)
    await event_log.append(good)
    stopping = asyncio.Event()

    async def handler(event: Recorded) -> None:
        seen.append(event)

    consumer = Consumer(
        connection,
        durable=IMPATIENT.name,
        handler=handler,
        dead=DeadLetters(connection),
        clock=SystemClock(),
    )
    running = asyncio.create_task(consumer.run(stopping))
    await all_settled(connection, IMPATIENT.name)
    stopping.set()
    await running

    [letter] = await letters(connection)
    assert [good.event] == [event.event for event in seen]
    assert "1" == letter.headers[dead_letters.ATTEMPTS]
    assert body == letter.body
    assert [good.event] == [event.event for event in await event_log.history("mr.>")]
