from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from nats.aio.msg import Msg

from libs.common.errors import Permanent, SettingsError, Temporary
from libs.common.jetstream.access import Access
from libs.common.jetstream.apply import apply, diff
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.server import NatsServer, ServerError, running_nats
from libs.common.jetstream.topology import DURABLES, Durable, Stream, Topology, topology
from tests.contract.event_log import opened
from tests.fixtures.nats import SMALL, never_closed

pytestmark = pytest.mark.real


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as caught:
        yield caught


@pytest.fixture
async def no_nats() -> AsyncIterator[str]:
    """Something that answers, but not as NATS does."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def refused(url: str) -> Temporary:
    with pytest.raises(Temporary) as caught:
        async with connected(url, name="t", on_closed=never_closed, patience=1.2):
            pass
    return caught.value


async def test_sr_37_an_absent_server_is_named_without_its_login(lines: list[Any]) -> None:
    error = await refused("nats://user:canary@127.0.0.1:1")
    assert str(error).startswith("NATS at nats://127.0.0.1:1 is not reachable")
    assert "NATS_URL" in str(error)
    assert error.peer == "nats"
    assert any("is not reachable" in line["event"] for line in lines)
    assert "canary" not in str(error) + json.dumps(lines, default=str)


async def test_a_server_that_is_not_nats_is_not_waited_for_in_silence(
    no_nats: str, lines: list[Any]
) -> None:
    error = await refused(f"nats://{no_nats}")
    assert no_nats in str(error)
    assert lines


async def test_sr_37_refused_credentials_are_said_without_them(
    tmp_path: Path, lines: list[Any]
) -> None:
    async with running_nats(tmp_path / "nats", token="canary") as server:
        error = await refused(f"nats://canary-wrong@127.0.0.1:{server.port}")
        assert "canary" not in str(error) + json.dumps(lines, default=str)
        assert any("refuses our credentials" in line["event"] for line in lines)
        async with connected(server.url, name="t", on_closed=never_closed) as connection:
            assert connection.is_up
            await server.kill()
            await server.start()
    assert "canary" not in json.dumps(lines, default=str)


async def test_a_missing_credentials_file_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "service.creds"
    opening = connected(
        "nats://127.0.0.1:1", name="t", on_closed=never_closed, access=Access(missing)
    )
    with pytest.raises(SettingsError, match=r"NATS_CREDENTIALS.*service\.creds"):
        await opening.__aenter__()


async def test_a_server_that_comes_later_is_found(tmp_path: Path) -> None:
    async with running_nats(tmp_path / "nats") as server:
        await server.kill()
        opening = connected(server.url, name="t", on_closed=never_closed, patience=20)
        entering = asyncio.create_task(opening.__aenter__())
        await asyncio.sleep(0.2)
        await server.start()
        connection = await entering
        assert connection.is_up
        await opening.__aexit__(None, None, None)


async def test_during_an_outage_calls_fail_at_once_and_nothing_is_sent_later(
    own_nats_server: NatsServer,
) -> None:
    server = own_nats_server
    async with connected(server.url, name="t", on_closed=never_closed) as connection:
        log, back = JetStreamLog(connection), connection.next_reconnect
        await server.kill()
        async with asyncio.timeout(5):
            while connection.is_up:  # noqa: ASYNC110  # the client notices by itself
                await asyncio.sleep(0.01)
        async with asyncio.timeout(1):
            with pytest.raises(Temporary) as caught:
                await log.append(opened())
        assert caught.value.peer == "nats"
        await server.start()
        async with asyncio.timeout(10):
            await back.wait()
        assert await log.history(">") == []
        assert not (await log.append(opened())).duplicate


async def test_who_begins_to_listen_a_moment_late_is_heard(bare_connection: Connection) -> None:
    asked = asyncio.create_task(bare_connection.request("late.one", b"?"))
    await asyncio.sleep(0)
    await bare_connection.flush()  # by now the server has said that nobody listens

    async def answer(message: Msg) -> None:
        await bare_connection.send(message.reply, b"!")

    await bare_connection.subscribe("late.one", answer)
    assert (await asked).data == b"!"


async def test_a_subject_that_nobody_listens_to_is_given_up_with_what_to_look_at(
    bare_connection: Connection,
) -> None:
    with pytest.raises(Temporary, match=r"nobody answers; is JetStream on and the topology") as no:
        await bare_connection.request("no.one", b"?")
    assert no.value.peer == "nats"


async def test_a_client_that_closes_for_good_tells_its_process(nats_server: NatsServer) -> None:
    closed = asyncio.Event()
    async with connected(nats_server.url, name="t", on_closed=closed.set) as connection:
        # Longer than the server takes a subject: it answers with an error and cuts the line.
        await connection.send("x" * 5000)
        async with asyncio.timeout(10):
            await closed.wait()
        assert not connection.is_up
        with pytest.raises(Temporary):
            await connection.api("INFO")


async def test_leaving_is_no_closing_for_good(nats_server: NatsServer) -> None:
    async with connected(nats_server.url, name="t", on_closed=never_closed):
        pass


async def test_a_restart_on_the_same_store_keeps_every_event(own_nats_server: NatsServer) -> None:
    server = own_nats_server
    async with connected(server.url, name="t", on_closed=never_closed) as connection:
        await JetStreamLog(connection).append(opened())
    await server.stop()
    await server.start()
    async with connected(server.url, name="t", on_closed=never_closed) as connection:
        assert len(await JetStreamLog(connection).history("mr.>")) == 1


async def test_a_server_left_behind_by_a_killed_parent_is_ended_first(tmp_path: Path) -> None:
    store = tmp_path / "nats"
    async with running_nats(store) as orphan, running_nats(store) as server:
        async with asyncio.timeout(5):
            await orphan.exited()
        assert server.pid
        assert server.port != orphan.port


async def test_a_taken_port_is_said(nats_server: NatsServer, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="address already in use"):
        async with running_nats(tmp_path / "nats", port=nats_server.port):
            pass


async def test_applying_twice_changes_nothing(bare_connection: Connection) -> None:
    wanted = topology(max_bytes=SMALL)
    planned = await diff(bare_connection, wanted)
    done = await apply(bare_connection, wanted, replicas=1)
    assert planned == done
    assert [(c.action, c.kind, c.name) for c in done] == [
        ("create", "stream", "EVENTS"),
        ("create", "stream", "DEAD_LETTERS"),
        ("create", "stream", "KV_DEDUP"),
        ("create", "stream", "KV_LOCKS"),
        ("create", "stream", "KV_WATERMARKS"),
        ("create", "stream", "OBJ_ARTIFACTS"),
        ("create", "durable", "reviewer"),
        ("create", "durable", "coder"),
        ("create", "durable", "publisher"),
    ]
    assert await apply(bare_connection, wanted, replicas=1) == []


async def test_a_change_is_planned_then_applied(connection: Connection) -> None:
    another = Durable(name="another", filters=("note.command.>", "retry.another.>"))
    narrow = Durable(name="publisher", filters=("task.result.>",))
    wanted = topology(max_bytes=2 * SMALL, durables=(DURABLES[0], narrow, another))
    planned = await diff(connection, wanted)
    assert [(c.action, c.name) for c in planned][-2:] == [
        ("update", "publisher"),
        ("create", "another"),
    ]
    assert f"max_bytes: {SMALL} -> {2 * SMALL}" in str(planned[0])
    assert await apply(connection, wanted, replicas=1) == planned
    assert await diff(connection, wanted) == []


async def test_what_cannot_be_changed_is_refused_in_words(bare_connection: Connection) -> None:
    memory = {"name": "EVENTS", "subjects": ["mr.>"], "storage": "memory"}
    await bare_connection.api("STREAM.CREATE.EVENTS", memory)
    wanted = Topology(streams=(Stream(name="EVENTS", subjects=("mr.>",)),), durables=())
    with pytest.raises(Permanent, match=r"cannot update the stream EVENTS .*storage: 'memory'"):
        await apply(bare_connection, wanted, replicas=1)
