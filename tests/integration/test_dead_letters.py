"""Dead letters in a real NATS: listed, shown, put back once, dropped."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest

from libs.common.clock import SystemClock
from libs.common.errors import AgentError, Permanent
from libs.common.events.envelope import NewEvent, Recorded
from libs.common.events.facts import MrOpened
from libs.common.jetstream import dead_letters as writing
from libs.common.jetstream import reading
from libs.common.jetstream.consumer import Consumer
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.letters import LETTER, Letters, read
from libs.common.jetstream.topology import WATERMARKS
from services.publisher.mishaps import Mishaps
from tests.contract.event_log import opened, published
from tests.integration.gca import gca_at
from tests.unit.publisher.world import World

pytestmark = pytest.mark.real
ALMOST_TOO_LARGE = 1_032_192 - 250
"""Fits alone, and not together with why it died."""
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def appended(event_log, new: NewEvent) -> int:
    return (await event_log.append(new)).seq


def fact(iid: int) -> NewEvent:
    subject = f"mr.opened.42.{iid}.{'a' * 16}"
    return NewEvent(
        subject=subject,
        event=MrOpened(project_id=42, iid=iid, head_sha="a" * 40, why="open"),
        message_id=subject,
        source="test",
        time=datetime.now(UTC),
        traceparent=TRACE,
    )


async def bury(connection, seq: int, service: str = "reviewer", reason: str = "no right") -> None:
    stored = await reading.at(connection, "EVENTS", seq)
    letter = writing.DeadLetter(
        stored=stored, stream="EVENTS", service=service, reason=reason, attempts=6
    )
    await writing.DeadLetters(connection).add(letter)


@pytest.fixture
def gca(connection, nats_server):  # noqa: ARG001  # the topology must be there
    """Runs `gca dead-letters …`; the exit code and what was printed."""
    return gca_at(nats_server.url, "dead-letters")


async def test_letters_are_listed_with_reason_attempts_and_trace(connection, event_log, gca):
    await bury(connection, await appended(event_log, fact(7)))

    code, shown = await gca("list")

    assert code == 0
    for text in ("reviewer", "mr.opened.42.7.", "6", "no right", TRACE.split("-")[1]):
        assert text in shown


async def test_without_letters_the_list_says_so(gca):
    assert (0, "no dead letters\n") == await gca("list")


async def test_a_letter_is_shown_whole(connection, event_log, gca):
    await bury(connection, await appended(event_log, fact(7)))

    code, shown = await gca("show", "1", "--json")

    assert code == 0
    found = json.loads(shown)
    assert found["letter"]["reason"] == "no right"
    assert json.loads(found["body"])["iid"] == 7
    assert found["headers"]["traceparent"] == TRACE


async def test_a_retry_is_the_event_as_it_was_and_twice_is_one(connection, event_log, gca):
    new = fact(7)
    await bury(connection, await appended(event_log, new))

    first, second = await gca("retry", "1"), await gca("retry", "1")

    (retry,) = await reading.last_per_subject(connection, "EVENTS", ["retry.>"])
    original = await reading.at(connection, "EVENTS", 1)
    assert retry.subject == f"retry.reviewer.{new.subject}"
    assert original.body == retry.body
    assert {"ce-id": new.subject, LETTER: "1"}.items() <= retry.headers.items()
    assert not any(name.startswith("gca-dead-r") for name in retry.headers)
    assert "put back as #2" in first[1]
    assert "left alone" in second[1]
    assert "retried" in (await gca("list"))[1]
    state = await connection.api("STREAM.INFO.EVENTS")
    assert state["state"]["messages"] == 2


async def test_a_crash_between_append_and_note_makes_no_second_retry(connection, event_log):
    await bury(connection, await appended(event_log, fact(7)))
    letters = Letters(connection)
    letter = read(await letters.get(1))
    first = await letters.put_back(letter, datetime.now(UTC))
    await connection.api("STREAM.PURGE.KV_DEDUP", {"filter": "$KV.DEDUP.letter.>"})

    again = await letters.put_back(letter, datetime.now(UTC))

    assert first.seq == again.seq


async def test_only_the_consumer_that_gave_up_gets_the_retry(connection, event_log, gca):
    await bury(connection, await appended(event_log, fact(7)))
    await gca("retry", "--subject", "mr.opened.42.>")
    seen: list[Recorded] = []
    stopping = asyncio.Event()

    async def handler(event: Recorded) -> None:
        seen.append(event)
        if len(seen) == 2:
            stopping.set()

    consumer = Consumer(
        connection,
        durable="reviewer",
        handler=handler,
        dead=writing.DeadLetters(connection),
        clock=SystemClock(),
    )
    async with asyncio.timeout(10):
        await consumer.run(stopping)

    assert ["mr", "retry"] == [event.subject.split(".")[0] for event in seen]
    assert seen[0].event == seen[1].event
    coder = await connection.api("CONSUMER.INFO.EVENTS.coder")
    assert coder["num_pending"] == 0


async def test_a_large_event_stays_a_claim_check_when_it_is_put_back(connection, event_log, gca):
    new = published("t1", "x" * 1_000_000)
    await bury(connection, await appended(event_log, new), service="coder")

    await gca("retry", "1")

    (retry,) = await reading.last_per_subject(connection, "EVENTS", ["retry.>"])
    assert len(retry.body) < 1000
    assert new.event == (await event_log.last(retry.subject)).event


async def test_what_was_too_large_to_keep_is_put_back_from_the_log(connection, gca):
    body = b"x" * (ALMOST_TOO_LARGE)
    await connection.publish("mr.opened.42.7.x", body)
    await bury(connection, 1)
    assert b"" == (await Letters(connection).get(1)).body

    await gca("retry", "1")

    assert body == (await reading.at(connection, "EVENTS", 2)).body


async def test_a_body_that_nobody_has_any_more_is_told(connection, gca):
    await connection.publish("mr.opened.42.7.x", b"x" * (ALMOST_TOO_LARGE))
    await bury(connection, 1)
    await connection.api("STREAM.PURGE.EVENTS")

    with pytest.raises(Permanent, match="the body of dead letter 1 is not kept any more"):
        await gca("retry", "1")


async def test_dropping_asks_first_and_takes_out_what_was_meant(connection, event_log, gca):
    for iid in (7, 8):
        await bury(connection, await appended(event_log, fact(iid)))

    kept = await gca("drop", "1", answer="n")
    dropped = await gca("drop", "1", answer="y")

    assert kept[0] == 1
    assert "nothing was dropped" in kept[1]
    assert "1 dead letter dropped" in dropped[1]
    shown = (await gca("list"))[1]
    assert "mr.opened.42.8." in shown
    assert "mr.opened.42.7." not in shown
    assert await Letters(connection).get(1) is None


async def test_a_letter_behind_one_that_is_kept_is_not_listed_any_more(connection, event_log, gca):
    seq = await appended(event_log, fact(7))
    await bury(connection, seq)
    again = fact(7)
    again = NewEvent(
        **{f: getattr(again, f) for f in again.__struct_fields__} | {"message_id": "x"}
    )
    await bury(connection, await appended(event_log, again))

    await gca("drop", "2", "--yes")

    assert await Letters(connection).get(1) is not None
    assert await gca("list", "2") == (
        1,
        "no dead letters\ngca: there is no dead letter 2 that fits\n",
    )
    await gca("drop", "1", "--yes")
    assert await Letters(connection).get(2) is None


async def test_an_action_without_a_choice_is_refused(gca):
    with pytest.raises(AgentError, match="which ones"):
        await gca("drop", "--yes")


async def test_an_event_nobody_can_decode_is_a_letter_like_any_other(connection, gca):
    await connection.publish(opened().subject, b"\xff not json")
    await bury(connection, 1)

    assert "not json" in (await gca("show", "1"))[1]


async def test_the_publisher_tells_of_new_letters_once_also_after_a_restart(connection, event_log):
    world = World()
    await bury(connection, await appended(event_log, fact(7)))
    watermarks = JetStreamKeyValue(connection, WATERMARKS)
    world.clock = SystemClock()

    for _ in range(2):
        mishaps = Mishaps(Letters(connection), watermarks, world.ports())
        await mishaps.look()
        await mishaps.look()
    await bury(connection, await appended(event_log, fact(7)), service="coder")
    await mishaps.look()

    [discussion] = world.mr.discussions
    assert "gca dead-letters show 1" in discussion.notes[0].body
