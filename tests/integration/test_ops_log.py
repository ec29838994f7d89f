"""What operators ask of a real NATS: the log in pieces, consumers, dead letters, the greeting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from libs.common.errors import Temporary
from libs.common.events.envelope import NewEvent
from libs.common.events.facts import MrOpened
from libs.common.jetstream import inspection
from libs.common.jetstream.dead_letters import DeadLetter, DeadLetters
from libs.common.jetstream.reading import Stored

pytestmark = pytest.mark.real
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def append(log, iid: int, project_id: int = 42) -> None:
    fact = MrOpened(project_id=project_id, iid=iid, head_sha="a" * 40, why="open")
    subject = f"mr.opened.{project_id}.{iid}.{'a' * 16}"
    await log.append(
        NewEvent(
            subject=subject,
            event=fact,
            message_id=subject,
            source="test",
            time=datetime.now(UTC),
        )
    )


async def test_a_long_log_is_read_in_pieces_and_in_order(connection, event_log):
    for iid in range(1, 601):
        await append(event_log, iid)
    await append(event_log, 1, project_id=43)

    read = [r.event.iid async for r in inspection.scan(connection, "mr.*.42.>", LONG_AGO)]

    assert read == list(range(1, 601))


async def test_only_what_is_new_enough_is_read(connection, event_log):
    await append(event_log, 1)
    between = (await event_log.last(f"mr.opened.42.1.{'a' * 16}")).time + timedelta(microseconds=1)
    await append(event_log, 2)

    read = [r.event.iid async for r in inspection.scan(connection, "mr.>", between)]

    assert read == [2]


async def test_an_event_that_cannot_be_read_does_not_end_the_reading(connection, event_log):
    await append(event_log, 1)
    await connection.publish("mr.opened.42.2.x", b"not json")
    await append(event_log, 3)

    assert [1, 3] == [r.event.iid async for r in inspection.scan(connection, "mr.>", LONG_AGO)]


@pytest.mark.parametrize("since", [LONG_AGO, datetime.now(UTC) + timedelta(days=1)])
async def test_an_empty_log_has_nothing_to_read(connection, since):
    assert [] == [record async for record in inspection.scan(connection, "task.>", since)]


async def test_the_newest_event_of_a_project_is_found_by_a_wildcard(connection, event_log):
    assert await inspection.newest(connection, "mr.*.42.>") is None
    await append(event_log, 1)
    await append(event_log, 2)

    found = await inspection.newest(connection, "mr.*.42.>")

    assert found is not None
    assert found.event.iid == 2


async def test_a_durable_tells_how_far_its_service_is(connection, event_log):
    await append(event_log, 1)

    state = await inspection.consumer_state(connection, "reviewer")

    assert state is not None
    assert (state.pending, state.handled, state.waiting) == (1, 0, 0)
    assert await inspection.consumer_state(connection, "nobody") is None


async def test_dead_letters_of_a_merge_request_are_found_with_their_reason(connection):
    letters = DeadLetters(connection)
    for subject, seq in (
        (f"mr.opened.42.7.{'a' * 16}", 3),
        ("retry.publisher.task.result.42.7.t", 4),
    ):
        stored = Stored(subject=subject, seq=seq, time=datetime.now(UTC), headers={}, body=b"{}")
        await letters.add(
            DeadLetter(
                stored=stored, stream="EVENTS", service="reviewer", reason="no right", attempts=2
            )
        )

    first, second = await inspection.dead_letters_of(connection, "42", "7")

    assert (first.service, first.reason, first.attempts, first.seq) == (
        "reviewer",
        "no right",
        2,
        3,
    )
    assert second.seq == 4
    assert await inspection.dead_letters_of(connection, "42", "8") == []


async def test_the_server_greets_with_its_version_and_tells_the_time(nats_server, connection):
    greeting = await inspection.greet(nats_server.url, 5)

    assert greeting.jetstream
    assert greeting.version.startswith("2.")
    told = await inspection.server_time(connection)
    assert told is not None
    assert abs((datetime.now(UTC) - told).total_seconds()) < 5


async def test_sr_37_a_server_that_is_away_is_named_without_its_login():
    with pytest.raises(Temporary) as caught:
        await inspection.greet("nats://canary@127.0.0.1:1", 2)
    assert "127.0.0.1:1" in str(caught.value)
    assert "canary" not in str(caught.value)


async def test_the_chain_has_what_was_replayed_and_put_back_beside_the_first_event(
    connection, event_log
):
    await append(event_log, 7)
    fact = (await event_log.history("mr.>"))[0]
    for message_id, subject in (
        ("replay-x-1", fact.subject),
        ("retry-1", f"retry.reviewer.{fact.subject}"),
    ):
        await event_log.append(
            NewEvent(
                subject=subject,
                event=fact.event,
                message_id=message_id,
                source="gca",
                time=datetime.now(UTC),
            )
        )
    await append(event_log, 8)

    found = await inspection.chain(connection, "42", "7")

    assert [1, 2, 3] == [record.seq for record in found]
