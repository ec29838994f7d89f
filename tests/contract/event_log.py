"""What every event log does; run for the fake and for JetStream by test_event_log.py."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from libs.common import subjects
from libs.common.errors import Permanent
from libs.common.events.envelope import AnyEvent, NewEvent
from libs.common.events.facts import MrClosed, MrOpened
from libs.common.events.log import EventLog
from libs.common.events.tasks import Superseded, TaskPublished

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def opened(iid: int = 7, sha: str = "a" * 40, message_id: str = "") -> NewEvent:
    event = MrOpened(project_id=42, iid=iid, head_sha=sha, why="open")
    subject = subjects.mr_opened(42, iid, sha)
    return _new(subject, event, message_id or f"mr.opened-42-{iid}-{sha[:16]}-open")


def closed(iid: int = 7) -> NewEvent:
    event = MrClosed(project_id=42, iid=iid, state="closed")
    return _new(subjects.mr_closed(42, iid, "closed"), event, f"mr.closed-42-{iid}-closed")


def result(task_id: str, by: str) -> NewEvent:
    event = Superseded(task_id=task_id, head_sha="a" * 40, by=by)
    return _new(subjects.task_result(42, 7, task_id), event, f"{task_id}-{by}")


def published(task_id: str, detail: str) -> NewEvent:
    event = TaskPublished(task_id=task_id, outcome="failed", detail=detail)
    return _new(subjects.task_published(42, 7, task_id), event, f"{task_id}-published")


def _new(subject: str, event: AnyEvent, message_id: str) -> NewEvent:
    return NewEvent(
        subject=subject,
        event=event,
        message_id=message_id,
        source="tests",
        time=NOON,
        causation_id="cause",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        replay_of="3",
    )


class EventLogContract:
    """Subclasses bring a fixture `log`."""

    async def test_an_appended_event_is_read_back_with_its_envelope(self, log: EventLog) -> None:
        new = opened()
        appended = await log.append(new)
        found = await log.last(new.subject)
        assert found is not None
        assert (found.subject, found.seq, found.event) == (new.subject, appended.seq, new.event)
        assert (found.message_id, found.source) == (new.message_id, new.source)
        assert (found.causation_id, found.traceparent) == (new.causation_id, new.traceparent)
        assert found.replay_of == "3"
        assert found.time.tzinfo is not None

    async def test_the_same_message_id_is_stored_once(self, log: EventLog) -> None:
        first, second = await log.append(opened()), await log.append(opened())
        assert (first.duplicate, second.duplicate) == (False, True)
        assert second.seq == first.seq
        assert len(await log.history("mr.>")) == 1

    async def test_the_last_of_an_unknown_subject_is_none(self, log: EventLog) -> None:
        assert await log.last("mr.opened.1.2.cafe") is None

    async def test_create_makes_the_first_event_of_a_subject(self, log: EventLog) -> None:
        created = await log.create(result("t1", "ours"))
        assert created.first
        assert created.record == await log.last("task.result.42.7.t1")

    async def test_a_second_create_returns_the_first_record(self, log: EventLog) -> None:
        await log.create(result("t1", "ours"))
        created = await log.create(result("t1", "theirs"))
        assert not created.first
        assert created.record.event == result("t1", "ours").event
        assert len(await log.subjects("task.>")) == 1

    async def test_the_same_create_again_is_not_first(self, log: EventLog) -> None:
        await log.create(result("t1", "ours"))
        again = await log.create(result("t1", "ours"))
        assert not again.first
        assert again.record.event == result("t1", "ours").event

    async def test_of_many_creates_at_once_one_is_first(self, log: EventLog) -> None:
        tried = await asyncio.gather(*(log.create(result("t1", f"number {n}")) for n in range(20)))
        assert [created.first for created in tried].count(True) == 1
        assert len({created.record.seq for created in tried}) == 1

    async def test_create_with_the_message_id_of_another_subject_is_refused(
        self, log: EventLog
    ) -> None:
        await log.append(opened(message_id="same"))
        with pytest.raises(Permanent, match="same is already used"):
            await log.create(opened(iid=8, message_id="same"))

    async def test_history_has_the_last_event_of_each_subject_oldest_first(
        self, log: EventLog
    ) -> None:
        await log.append(opened(message_id="one"))
        await log.append(closed())
        third = await log.append(opened(message_id="two"))
        found = await log.history("*.*.42.7.>")
        assert [event.message_id for event in found] == ["mr.closed-42-7-closed", "two"]
        assert found[-1].seq == third.seq

    async def test_history_takes_several_filters_and_no_event_twice(self, log: EventLog) -> None:
        await log.append(opened(iid=7))
        await log.append(opened(iid=8))
        await log.append(closed(iid=9))
        found = await log.history("mr.opened.>", "mr.*.42.9.>")
        assert [event.subject.split(".")[3] for event in found] == ["7", "8", "9"]

    async def test_history_of_nothing_is_empty(self, log: EventLog) -> None:
        assert await log.history("*.*.42.7.>") == []

    async def test_subjects_are_matched_token_by_token(self, log: EventLog) -> None:
        await log.append(opened(iid=7, sha="b" * 40))
        await log.append(opened(iid=77, sha="b" * 40))
        await log.append(closed(iid=7))
        assert await log.subjects("mr.opened.42.7.*") == {"mr.opened.42.7." + "b" * 16}
        assert await log.subjects("mr.*.42.7.>", "mr.closed.>") == {
            "mr.opened.42.7." + "b" * 16,
            "mr.closed.42.7.closed",
        }
        assert await log.subjects("mr.opened.42.7") == set()

    async def test_a_large_event_comes_back_whole(self, log: EventLog) -> None:
        new = published("t1", "x" * 3_000_000)
        await log.append(new)
        assert [event.event for event in await log.history("task.>")] == [new.event]

    async def test_more_than_a_thousand_subjects_are_all_in_history(self, log: EventLog) -> None:
        await asyncio.gather(*(log.append(closed(iid=iid)) for iid in range(1200)))
        found = await log.history("mr.closed.>")
        assert {event.subject for event in found} == {
            f"mr.closed.42.{iid}.closed" for iid in range(1200)
        }
        assert [event.seq for event in found] == sorted(event.seq for event in found)
