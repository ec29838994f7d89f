from __future__ import annotations

from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from libs.common import telemetry
from libs.common.errors import Temporary
from libs.common.events.tasks import (
    Answered,
    Artifact,
    ChangesProposed,
    Finding,
    NothingToDo,
    ReviewDone,
    Superseded,
    TaskFailed,
    TaskRequested,
)
from libs.common.launching.token import mint
from tests.integration.ingest_world import (
    DOOR_SECRET,
    HEAD,
    TASK_ID,
    TRACEPARENT,
    Door,
    door,
    task,
)

OTHER_TASK = f"review-42-8-{HEAD[:16]}-0"
FINDING = Finding(file="a.py", side="new", line=1, end_line=1, severity="error", comment="No.")


def done(**changed: Any) -> bytes:
    fields = {"task_id": TASK_ID, "head_sha": HEAD, "summary": "Fine.", **changed}
    return msgspec.json.encode(ReviewDone(**fields))


def failed(task_id: str = TASK_ID, detail: str = "") -> bytes:
    result = TaskFailed(task_id=task_id, head_sha=HEAD, reason="timeout", detail=detail)
    return msgspec.json.encode(result)


async def test_a_job_fetches_its_spec() -> None:
    async with door() as world:
        status, body = await world.get()
        assert status == 200
        assert msgspec.json.decode(body, type=TaskRequested) == task(expires_in=world.clock)


async def test_a_job_hands_in_its_one_result() -> None:
    async with door() as world:
        assert await world.post(done()) == (201, {"task_id": TASK_ID})
        (record,) = world.results()
        assert record.subject == f"task.result.42.7.{TASK_ID}"
        assert record.event == msgspec.json.decode(done(), type=ReviewDone)
        assert record.message_id == f"{TASK_ID}-result"
        assert record.causation_id == f"{TASK_ID}-requested"
        assert telemetry.trace_id(record.traceparent) == telemetry.trace_id(TRACEPARENT)


async def test_a_failure_ends_the_task_too() -> None:
    async with door() as world:
        assert (await world.post(failed()))[0] == 201
        assert isinstance(world.results()[0].event, TaskFailed)


async def test_sr_22_the_same_bytes_again_are_welcome_and_logged_once() -> None:
    async with door() as world:
        assert [(await world.post(done()))[0] for _ in range(3)] == [201, 200, 200]
        assert len(world.results()) == 1


@pytest.mark.parametrize("second", [done(summary="Other."), failed()])
async def test_sr_22_a_second_result_is_refused(second: bytes) -> None:
    async with door() as world:
        await world.post(done())
        status, answer = await world.post(second)
        assert status == 409
        assert answer == {"error": "the task has ended already, with another result"}
        assert [e.event for e in world.results()] == [msgspec.json.decode(done(), type=ReviewDone)]


async def test_sr_22_the_task_ended_by_a_service_stays_ended() -> None:
    async with door() as world:
        await world.post(failed(detail="max_launches"))
        assert (await world.post(done()))[0] == 409


def forged(world: Door) -> dict[str, str]:
    good = world.token()
    expiry, signature = good.split(".")
    return {
        "none": "",
        "other secret": world.token(secret="x" * 32),
        "other task": world.token(OTHER_TASK),
        "expired": world.token(minutes=-1),
        "longer life": f"{int(expiry) + 60}.{signature}",
        "one bit": good[:-1] + ("0" if good[-1] != "0" else "1"),
        "upper case": good.upper() if good.upper() != good else f"{good}0",
        "no signature": f"{expiry}.",
        "huge expiry": mint(DOOR_SECRET, TASK_ID, world.clock.now()).replace(".", "9" * 20 + "."),
        "beyond ascii": "ü.é",
    }


async def test_sr_22_a_token_that_is_not_for_this_task_gets_401() -> None:
    async with door() as world:
        for name, token in forged(world).items():
            assert (name, (await world.get(token=token))[0]) == (name, 401)
            assert (name, (await world.post(done(), token=token))[0]) == (name, 401)
        assert world.results() == []


async def test_sr_22_a_token_ends_with_its_time() -> None:
    async with door() as world:
        token = world.token(minutes=45)
        world.clock.advance(45 * 60)
        assert (await world.get(token=token))[0] == 200
        world.clock.advance(1)
        assert (await world.post(done(), token=token))[0] == 401


async def test_sr_22_without_a_good_token_the_log_is_not_read() -> None:
    async with door() as world:
        world.memory.fail_next = [Temporary("read")]
        await world.get(token="1.2")
        assert len(world.memory.fail_next) == 1


@pytest.mark.parametrize("task_id", ["x", "review-42-7-*-0", "%ff%fe", "a" * 500])
async def test_what_is_no_task_id_gets_401_like_a_wrong_token(task_id: str) -> None:
    async with door() as world:
        assert (await world.get(task_id))[0] == 401


async def test_a_task_the_log_does_not_have_gets_404() -> None:
    async with door() as world:
        token = world.token(OTHER_TASK)
        assert (await world.get(OTHER_TASK, token))[0] == 404
        assert (await world.post(done(), OTHER_TASK, token))[0] == 404


UNFIT = {
    "another task": done(task_id=OTHER_TASK),
    "another head": done(head_sha="b" * 40),
    "superseded is not for jobs to say": msgspec.json.encode(
        Superseded(task_id=TASK_ID, head_sha=HEAD, by="me")
    ),
    "a request": b'{"type":"task.requested.v1"}',
    "no type": b'{"task_id":"x"}',
    "unknown type": b'{"type":"task.result.changes_proposed.v1"}',
    "wrong types": done().replace(b'"Fine."', b"7"),
    "missing summary": done().replace(b'"summary":"Fine.",', b""),
    "too many findings": done(findings=(FINDING,) * 201),
    "empty": b"",
    "not json": b"{",
    "not utf-8": b'{"type":"\xff"}',
    "deep": b'{"x":' * 100_000,
    "array": b"[]",
    "huge number": done().replace(b'"Fine."', b"9" * 5000),
}


@pytest.mark.parametrize("name", UNFIT)
async def test_sr_22_a_result_that_does_not_fit_is_refused_with_a_reason(name: str) -> None:
    async with door() as world:
        status, answer = await world.post(UNFIT[name])
        assert (status, world.results()) == (422, [])
        assert answer["error"]


async def test_sr_22_a_review_is_no_end_of_an_ask_task() -> None:
    async with door() as world:
        await world.request(task(expires_in=world.clock, task_id="ask-42-7-n1", kind="ask"))
        token = world.token("ask-42-7-n1")
        status, _ = await world.post(done(task_id="ask-42-7-n1"), "ask-42-7-n1", token)
        assert status == 422
        assert (await world.post(failed("ask-42-7-n1"), "ask-42-7-n1", token))[0] == 201


async def test_sr_22_a_result_over_2_mb_gets_413() -> None:
    async with door() as world:
        assert (await world.post(done(summary="x" * 2_500_000)))[0] == 413
        assert world.results() == []
        assert (await world.post(done(summary="x" * 1_000_000)))[0] == 201


CODING_ID = "coding-42-7-n1031"


def changes(patch: bytes = b"diff --git a/a b/a\n", **changed: Any) -> bytes:
    fields = {"subject": "Add it", "summary": "Added.", "files": ("a",), "patch": patch, **changed}
    return msgspec.json.encode(ChangesProposed(task_id=CODING_ID, head_sha=HEAD, **fields))


async def ask_for_code(world: Door) -> str:
    await world.request(task(expires_in=world.clock, task_id=CODING_ID, kind="coding"))
    return world.token(CODING_ID)


async def test_a_small_patch_travels_in_its_event() -> None:
    async with door() as world:
        token = await ask_for_code(world)
        answers = [await world.post(changes(), CODING_ID, token) for _ in range(2)]
        assert [status for status, _ in answers] == [201, 200]
        assert (await world.post(changes(b"other"), CODING_ID, token))[0] == 409
        [record] = world.results()
        assert record.event == msgspec.json.decode(changes(), type=ChangesProposed)
        assert world.store.puts == 0


async def test_sr_22_a_large_patch_is_stored_once_and_the_same_again_is_welcome() -> None:
    patch = b"x" * (600 * 1024)
    async with door() as world:
        token = await ask_for_code(world)
        answers = [await world.post(changes(patch), CODING_ID, token) for _ in range(3)]
        assert [status for status, _ in answers] == [201, 200, 200]
        [record] = world.results()
        assert record.event.patch == b""
        assert record.event.stored.size == len(patch)
        assert world.store.bodies == {record.event.stored.artifact: patch}
        others = (changes(b"y" * len(patch)), changes(patch, summary="Other."), changes())
        for other in others:
            assert (await world.post(other, CODING_ID, token))[0] == 409
        # What comes too late is not even stored: a Job must not be able to fill the store.
        assert world.store.puts == 1


async def test_sr_22_a_job_cannot_name_a_stored_patch_itself() -> None:
    async with door() as world:
        token = await ask_for_code(world)
        stored = Artifact(artifact="coding-42-8-n1-patch.x", size=1, digest="SHA-256=x")
        for body in (changes(stored=stored), changes(b"", stored=stored)):
            assert (await world.post(body, CODING_ID, token))[0] == 422
        assert world.results() == []


async def test_sr_22_a_patch_over_10_mb_is_refused() -> None:
    async with door() as world:
        token = await ask_for_code(world)
        status, answer = await world.post(changes(b"x" * (10 * 1024**2 + 1)), CODING_ID, token)
        assert (status, "10485760 bytes" in answer["error"]) == (422, True)
        assert (await world.post(changes(b"x" * (13 * 1024**2)), CODING_ID, token))[0] == 413
        assert (world.results(), world.store.puts) == ([], 0)


async def test_a_store_that_is_away_gives_503_and_the_result_can_be_sent_again() -> None:
    patch = b"x" * (600 * 1024)
    async with door() as world:
        token = await ask_for_code(world)
        world.store.fail_next = [Temporary("NATS is away", peer="nats")]
        assert (await world.post(changes(patch), CODING_ID, token))[0] == 503
        assert (await world.post(changes(patch), CODING_ID, token))[0] == 201


async def test_an_answer_and_nothing_to_do_are_ends() -> None:
    ask_id = "ask-42-7-n1031"
    answer = Answered(task_id=ask_id, head_sha=HEAD, answer="At midnight.")
    nothing = NothingToDo(task_id=CODING_ID, head_sha=HEAD, summary="It is there.")
    async with door() as world:
        token = await ask_for_code(world)
        await world.request(task(expires_in=world.clock, task_id=ask_id, kind="ask"))
        body = msgspec.json.encode(answer)
        assert (await world.post(body, ask_id, world.token(ask_id)))[0] == 201
        assert (await world.post(msgspec.json.encode(nothing), CODING_ID, token))[0] == 201
        assert [record.event for record in world.results()] == [answer, nothing]


async def test_a_log_that_is_away_gives_503_and_the_result_can_be_sent_again() -> None:
    async with door() as world:
        world.memory.fail_next = [Temporary("NATS is away", peer="nats")]
        assert (await world.post(done()))[0] == 503
        assert (await world.post(done()))[0] == 201


async def test_sr_37_no_token_or_secret_is_in_the_log_lines() -> None:
    async with door() as world:
        with capture_logs() as lines:
            await world.get()
            await world.post(done(), token=world.token(secret="x" * 32))
        assert [line["status"] for line in lines] == [200, 401]
        assert DOOR_SECRET not in repr(lines)
        assert world.token().partition(".")[2] not in repr(lines)


async def test_sr_41_the_door_knows_no_webhook() -> None:
    async with door() as world, world.client.post("/webhook", data=b"{}") as answer:
        assert answer.status == 404
