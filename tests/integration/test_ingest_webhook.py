from __future__ import annotations

import asyncio
import gzip
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from libs.common import telemetry
from libs.common.errors import Permanent, Temporary
from libs.common.events.facts import NoteCommand
from services.ingest.intake import FULL, Intake, watch_fill
from services.ingest.notes import Agent
from services.ingest.webhook import LARGEST_BODY, NOT_READABLE, NOT_SERVED
from tests.integration.ingest_world import AUTHENTIC, SECRET, TRACEPARENT, Hooks, hooks
from tests.unit.ingest.bodies import A, B, merge_request, note

OPENED = f"mr.opened-42-7-{'a' * 16}-open"


async def test_an_opened_merge_request_is_in_the_log_when_202_is_answered() -> None:
    async with hooks() as world:
        assert await world.send(merge_request("open")) == (202, {"event_id": OPENED})
        assert [e.message_id for e in world.log.events] == [OPENED]
        assert world.log.events[0].source == "ingest/webhook"


async def test_a_duplicate_gets_the_same_202_and_is_logged_once() -> None:
    async with hooks() as world:
        answers = [await world.send(merge_request("open")) for _ in range(2)]
        assert answers == [(202, {"event_id": OPENED})] * 2
        assert len(world.log.events) == 1


async def test_hooks_that_arrive_at_once_and_twice_give_one_event_each() -> None:
    bodies = [
        merge_request("open"),
        merge_request("update", oldrev=A, last_commit={"id": B}),
        merge_request("merge", state="merged", last_commit={"id": B}),
    ]
    async with hooks() as world:
        answers = await asyncio.gather(*(world.send(body) for body in bodies[::-1] + bodies))
        assert {status for status, _ in answers} == {202}
        types = sorted(e.subject.rsplit(".", 3)[0] for e in world.log.events)
        assert types == ["mr.closed", "mr.opened", "mr.opened"]


async def test_a_command_in_a_note_is_in_the_log_when_202_is_answered() -> None:
    async with hooks() as world:
        headers = AUTHENTIC | {"X-Gitlab-Event": "Note Hook"}
        answers = [await world.send(note("/copilot add a test"), headers) for _ in range(2)]
        assert answers == [(202, {"event_id": "note.command-42-7-1031"})] * 2
        [record] = world.log.events
        assert record.subject == "note.command.42.7.1031"
        assert isinstance(record.event, NoteCommand)


async def test_a_note_that_is_no_command_gets_200_and_a_reason() -> None:
    async with hooks() as world:
        status, answer = await world.send(note("Looks good"))
        assert (status, answer) == (200, {"reason": "the comment is no command"})
        status, answer = await world.send(note(author_id=world.agent.user_id))
        assert (status, answer) == (200, {"reason": "the comment is the agent's own"})
        assert world.log.events == []


async def test_once_the_agent_is_known_its_name_is_a_command() -> None:
    async with hooks() as world:
        world.agent = Agent()
        assert (await world.send(note("@gca-bot review")))[0] == 200
        world.agent = Agent(username="gca-bot", user_id=99)
        assert (await world.send(note("@gca-bot review")))[0] == 202


async def test_a_command_in_a_project_that_is_not_served_is_not_logged() -> None:
    async with hooks(projects=("other/app",)) as world:
        assert await world.send(note()) == (200, {"reason": NOT_SERVED})
        assert world.log.events == []


async def test_a_system_hook_means_the_same_as_a_project_hook() -> None:
    async with hooks() as world:
        headers = AUTHENTIC | {"X-Gitlab-Event": "System Hook"}
        assert await world.send(merge_request("open"), headers) == (202, {"event_id": OPENED})


@pytest.mark.parametrize("headers", [{}, {"X-Gitlab-Token": "wrong"}, {"X-Gitlab-Token": ""}])
async def test_sr_01_a_hook_without_the_secret_gets_401(headers: dict[str, str]) -> None:
    async with hooks() as world:
        status, answer = await world.send(merge_request("open"), headers)
        assert status == 401
        assert SECRET not in json.dumps(answer)
        assert world.log.events == []


async def test_sr_01_the_401_comes_before_the_body_is_read() -> None:
    async with hooks() as world:
        head = b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n"
        answer = await world.raw(head + b"X-Gitlab-Token: wrong\r\n\r\n")
        assert answer == b"HTTP/1.1 401 Unauthorized\r\n"


async def test_sr_01_no_header_bytes_give_5xx() -> None:
    chance = random.Random(1)
    seen = set()
    async with hooks() as world:
        for _ in range(150):
            name = chance.choice([b"X-Gitlab-Token", b"webhook-signature", b"webhook-timestamp"])
            value = chance.randbytes(chance.randint(0, 40)).replace(b"\r", b"").replace(b"\n", b"")
            head = b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n" + name + b": "
            seen.add((await world.raw(head + value + b"\r\n\r\n")).split(b" ")[1])
    # 400 is the HTTP parser's own answer to control characters in a header.
    assert b"401" in seen
    assert seen <= {b"400", b"401"}


STRANGE: list[Any] = [
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"{",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b"NaN",
    b'{"object_kind": "\\ud800"}',
    b'{"object_kind": "\\u0000"}',
    b'{"object_kind": 1e999}',
    b'{"object_kind": ' + b"9" * 5000 + b"}",
    b"[" * 200_000,
    b'{"object_attributes":' * 50_000,
    b"a=1&b=2",
    {"object_kind": "merge_request"},
    {"object_kind": "merge_request", "object_attributes": []},
    {"object_kind": "merge_request", "object_attributes": {"action": {"open": 1}}},
    {"object_kind": "note", "object_attributes": {"note": "/copilot review"}},
]


@pytest.mark.parametrize("body", STRANGE, ids=range(len(STRANGE)))
async def test_sr_02_a_strange_body_gets_200_and_a_reason(body: Any) -> None:
    async with hooks() as world:
        status, answer = await world.send(body)
        assert (status, list(answer)) == (200, ["reason"])
        assert world.log.events == []


async def test_sr_02_four_strange_bodies_do_not_spoil_the_fifth() -> None:
    async with hooks() as world:
        answers = [await world.send(body) for body in STRANGE[:4]]
        assert [status for status, _ in answers] == [200] * 4
        assert await world.send(merge_request("open")) == (202, {"event_id": OPENED})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=40, deadline=None)
@given(body=st.binary() | JSON, attributes=st.dictionaries(st.sampled_from(["iid", "state"]), JSON))
async def test_sr_02_no_authentic_body_gets_more_than_2xx(
    body: Any, attributes: dict[str, Any]
) -> None:
    async with hooks() as world:
        statuses = {
            (await world.send(body))[0],
            (await world.send(merge_request("open", **attributes)))[0],
        }
        assert statuses <= {200, 202}


async def test_sr_02_a_body_over_the_limit_gets_413_without_being_read() -> None:
    async with hooks() as world:
        head = f"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGEST_BODY + 1}\r\n"
        answer = await world.raw(f"{head}X-Gitlab-Token: {SECRET}\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 413 ")


async def test_sr_02_a_body_over_the_limit_without_a_length_gets_413() -> None:
    async def endless() -> Any:
        for _ in range(26):
            yield b" " * 1024 * 1024

    async with hooks() as world:
        async with world.client.post("/webhook", data=endless(), headers=AUTHENTIC) as answer:
            assert answer.status == 413
        assert world.log.events == []


async def test_sr_02_a_small_body_that_unpacks_to_a_huge_one_gets_413() -> None:
    async with hooks() as world:
        headers = AUTHENTIC | {"Content-Encoding": "gzip"}
        status, _ = await world.send(gzip.compress(b" " * (LARGEST_BODY + 1)), headers)
        assert status == 413


async def test_sr_02_a_body_that_does_not_unpack_gets_200() -> None:
    async with hooks() as world:
        headers = AUTHENTIC | {"Content-Encoding": "gzip"}
        assert await world.send(b"not gzip at all", headers) == (200, {"reason": NOT_READABLE})


async def test_a_sender_that_hangs_up_in_the_middle_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # The 100 tells that the handler runs; a request that is gone before that is never handled.
    head = "POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n"
    async with hooks() as world:
        with capture_logs() as lines:
            address = world.server.host, world.server.port
            reader, writer = await asyncio.open_connection(*address)
            writer.write(f"{head}X-Gitlab-Token: {SECRET}\r\n\r\n".encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 100 ")
            writer.write(b"{")
            writer.close()
            async with asyncio.timeout(5):
                while not lines:  # noqa: ASYNC110  the log line is all that tells
                    await asyncio.sleep(0)
        assert [line["outcome"] for line in lines] == ["unreadable"]
        assert caplog.records == []


async def test_a_large_body_within_the_limit_is_taken() -> None:
    async with hooks() as world:
        body = merge_request("open", description="x" * 5_000_000)
        assert await world.send(body) == (202, {"event_id": OPENED})


async def test_a_project_that_is_not_served_gets_200_and_the_settings_name() -> None:
    async with hooks(projects=("43", "other/app")) as world:
        assert await world.send(merge_request("open")) == (200, {"reason": NOT_SERVED})
        assert world.log.events == []


async def test_sr_03_urls_and_authors_of_the_payload_do_not_reach_the_log() -> None:
    body = merge_request("open", author_id=1, source={"git_http_url": "https://evil.test/x.git"})
    body["user"] = {"username": "evil"}
    async with hooks() as world:
        await world.send(body)
        assert "evil" not in repr(world.log.events)


async def test_a_log_that_is_away_gives_503_and_nothing_answered_202_is_lost() -> None:
    async with hooks() as world:
        world.log.fail_next = [Temporary("NATS is away", delay=5, peer="nats")]
        async with world.client.post(
            "/webhook", json=merge_request("open"), headers=AUTHENTIC
        ) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert world.log.events == []
        assert await world.send(merge_request("open")) == (202, {"event_id": OPENED})
        assert [e.message_id for e in world.log.events] == [OPENED]


async def test_a_message_the_log_will_never_take_is_not_the_senders_fault() -> None:
    async with hooks() as world:
        world.log.fail_next = [Permanent("too large")]
        assert await world.send(merge_request("open")) == (200, {"reason": "too large"})


class SilentLog:
    """Takes calls and never answers."""

    async def append(self, _: Any) -> Any:
        await asyncio.Event().wait()


async def test_a_log_that_does_not_answer_gives_503_in_time() -> None:
    async with hooks(patience=0.05) as world:
        world.intake._log = SilentLog()
        status, _ = await world.send(merge_request("open"))
        assert status == 503


async def test_from_85_percent_on_hooks_get_503_until_there_is_room() -> None:
    async with hooks() as world:
        world.intake.share = FULL
        status, answer = await world.send(merge_request("open"))
        assert (status, answer) == (503, {"error": "the event log is 85% full"})
        world.intake.share = 0.84
        assert (await world.send(merge_request("open")))[0] == 202


async def test_a_full_log_does_not_hinder_what_would_not_be_logged() -> None:
    async with hooks() as world:
        world.intake.share = 1.0
        assert (await world.send({"object_kind": "push"}))[0] == 200


class Shares:
    """Tells each share once, then stops the loop."""

    def __init__(self, *shares: float | Exception) -> None:
        self.stopping = asyncio.Event()
        self._shares = list(shares)

    async def fill(self) -> float:
        share = self._shares.pop(0)
        if not self._shares:
            self.stopping.set()
        if isinstance(share, Exception):
            raise share
        return share


async def test_the_fill_loop_keeps_the_last_share_while_the_log_is_away() -> None:
    intake = Intake(SilentLog())
    shares = Shares(0.2, 0.9, Temporary("away"))
    async with asyncio.timeout(5):
        await watch_fill(intake, shares, shares.stopping, every=0.001)
    assert intake.share == 0.9
    assert intake.is_full


async def test_readiness_tells_why_webhooks_are_turned_away() -> None:
    intake = Intake(SilentLog())
    said = []
    for share in (0.2, Temporary("was `gca topology apply` run?"), 0.9, 0.2):
        shares = Shares(share)
        await watch_fill(intake, shares, shares.stopping, every=0.001)
        said.append(await intake.trouble())
    full = "the event log is 90% full: raise EVENTS_MAX_BYTES"
    assert said == [None, "was `gca topology apply` run?", full, None]


@pytest.mark.parametrize("path", ["/", "/webhook"])
async def test_a_browser_is_told_what_to_do(path: str) -> None:
    async with hooks() as world, world.client.get(path) as answer:
        assert answer.status == 200
        assert "GITLAB_WEBHOOK_SECRET" in await answer.text()


async def test_an_authentic_trace_goes_on_in_the_event() -> None:
    async with hooks() as world:
        await world.send(merge_request("open"), AUTHENTIC | {"traceparent": TRACEPARENT})
        found = world.log.events[0].traceparent
        assert telemetry.trace_id(found) == telemetry.trace_id(TRACEPARENT)
        assert found != TRACEPARENT


@pytest.mark.parametrize("traceparent", ["", "garbage", "00-xyz-1-01"])
async def test_without_a_trace_of_its_own_a_hook_starts_one(traceparent: str) -> None:
    async with hooks() as world:
        await world.send(merge_request("open"), AUTHENTIC | {"traceparent": traceparent})
        assert telemetry.trace_id(world.log.events[0].traceparent)


async def test_two_hooks_on_one_connection_have_traces_of_their_own() -> None:
    async with hooks() as world:
        await world.send(merge_request("open"))
        await world.send(merge_request("open", iid=8))
        traces = {telemetry.trace_id(e.traceparent) for e in world.log.events}
        assert len(traces) == 2


async def _logged(world: Hooks, body: Any, headers: dict[str, str]) -> dict[str, Any]:
    with capture_logs() as lines:
        await world.send(body, headers)
    assert len(lines) == 1
    return lines[0] | {"milliseconds": 0}


async def test_sr_37_each_hook_is_one_line_without_the_secret() -> None:
    async with hooks() as world:
        line = await _logged(world, merge_request("open"), AUTHENTIC)
        expected = {
            "event": "webhook answered",
            "log_level": "info",
            "status": 202,
            "outcome": "accepted",
            "kind": "merge_request",
            "action": "open",
            "event_id": OPENED,
            "project_id": 42,
            "iid": 7,
            "seq": 1,
            "milliseconds": 0,
        }
        assert line == expected
        refused = await _logged(world, merge_request("open"), {"X-Gitlab-Token": SECRET + "x"})
        assert refused["outcome"] == "unauthorized"
        assert SECRET not in repr([line, refused])
