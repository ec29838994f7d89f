"""Creating a record on servers that acknowledge it before they show it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from libs.common.errors import Permanent, Temporary
from libs.common.events.envelope import NewEvent
from libs.common.jetstream.answers import NO_MESSAGE, Refused, away
from libs.common.jetstream.connection import Ack
from libs.common.jetstream.log import ATTEMPT, LOOK_AGAIN, JetStreamLog
from tests.samples import NOW, review_request

SUBJECT = f"task.requested.42.7.{review_request().task_id}"
AT_ONCE = (0.0,) * len(LOOK_AGAIN)


def event() -> NewEvent:
    return NewEvent(
        subject=SUBJECT,
        event=review_request(),
        message_id="the-request",
        source="test",
        time=NOW,
    )


class LateServer:
    """Acknowledges, and shows the record only from the `shown_at`-th look on.

    `trouble` is what a publish ends with after the record is stored; `theirs`: somebody else's is.
    """

    def __init__(self, shown_at: int, *, duplicate: bool = False) -> None:
        self.shown_at = shown_at
        self.duplicate = duplicate
        self.trouble: Exception | None = None
        self.theirs = False
        self.looks = 0
        self.stored: dict[str, Any] = {}

    async def publish(self, subject: str, body: bytes, *, headers: dict[str, str]) -> Ack:
        kept = headers | ({ATTEMPT: "theirs"} if self.theirs else {})
        block = "NATS/1.0\r\n" + "".join(f"{k}: {v}\r\n" for k, v in kept.items()) + "\r\n"
        self.stored = {
            "subject": subject,
            "seq": 5,
            "time": NOW.isoformat(),
            "hdrs": base64.b64encode(block.encode()).decode(),
            "data": base64.b64encode(body).decode(),
        }
        if self.trouble is not None:
            raise self.trouble
        return Ack(stream="EVENTS", seq=5, duplicate=self.duplicate)

    async def read(self, call: str, asked: dict[str, Any]) -> dict[str, Any]:
        assert ("STREAM.MSG.GET.EVENTS", {"last_by_subj": SUBJECT}) == (call, asked)
        self.looks += 1
        if self.looks < self.shown_at:
            raise Refused(404, NO_MESSAGE, "no message found")
        return {"message": self.stored}


def log_on(server: LateServer) -> JetStreamLog:
    return JetStreamLog(server, look_again=AT_ONCE)  # type: ignore[arg-type]  # what it uses


@pytest.mark.parametrize("shown_at", [1, 2, len(LOOK_AGAIN) + 1])
async def test_a_record_that_shows_late_is_looked_for_again(shown_at):
    server = LateServer(shown_at)

    created = await log_on(server).create(event())

    assert created.first
    assert SUBJECT == created.record.subject
    assert shown_at == server.looks


async def test_a_record_that_another_wrote_first_shows_late_too():
    server = LateServer(3)
    server.theirs, server.trouble = True, Refused(400, 10071, "wrong last sequence")

    created = await log_on(server).create(event())

    assert not created.first


async def test_a_repeat_that_shows_late_is_no_foreign_message_id():
    server = LateServer(3, duplicate=True)

    assert (await log_on(server).create(event())).first


async def test_what_never_shows_is_tried_again_later_after_bounded_looks():
    server = LateServer(99)

    with pytest.raises(Temporary, match="was written and is not there"):
        await log_on(server).create(event())

    assert len(LOOK_AGAIN) + 1 == server.looks


async def test_a_message_id_of_another_subject_is_still_told_apart():
    with pytest.raises(Permanent, match="already used on another subject"):
        await log_on(LateServer(99, duplicate=True)).create(event())


async def test_without_an_answer_one_look_is_enough():
    server = LateServer(99)
    server.trouble = away("no answer in time")

    with pytest.raises(Temporary, match="no answer in time"):
        await log_on(server).create(event())

    assert 1 == server.looks


def test_all_looks_together_take_about_a_second():
    assert 1.0 <= sum(LOOK_AGAIN) <= 1.5
