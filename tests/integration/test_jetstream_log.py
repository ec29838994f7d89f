from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Self

import pytest

from libs.common.errors import Permanent, Temporary
from libs.common.events.tasks import Artifact
from libs.common.jetstream.apply import apply
from libs.common.jetstream.artifacts import Artifacts, digest_of
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.packing import ARTIFACT
from libs.common.jetstream.server import NatsServer
from libs.common.jetstream.topology import topology
from tests.contract.event_log import opened, published, result
from tests.fixtures.nats import never_closed

pytestmark = pytest.mark.real


class ForgetfulProxy:
    """Between client and server; while `swallow` is set, the next answer is lost on the way."""

    def __init__(self, port: int) -> None:
        self.swallow = False
        self.url = ""
        self._port = port
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"nats://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        task = asyncio.create_task(self._both(reader, writer, there, back))
        self._tasks.add(task)

    async def _both(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there: asyncio.StreamReader,
        back: asyncio.StreamWriter,
    ) -> None:
        try:
            await asyncio.gather(self._up(reader, back), self._down(there, writer))
        finally:
            writer.close()
            back.close()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if self.swallow and data.startswith(b"MSG"):
                self.swallow = False
                continue
            writer.write(data)
            await writer.drain()
        writer.close()


@pytest.fixture
async def proxy(connection: Connection, nats_server: NatsServer) -> AsyncIterator[ForgetfulProxy]:
    del connection  # it has applied the topology
    async with ForgetfulProxy(nats_server.port) as proxy:
        yield proxy


def far_away(url: str) -> AbstractAsyncContextManager[Connection]:
    return connected(url, name="far", on_closed=never_closed, answer_within=0.5)


async def test_a_create_whose_answer_was_lost_is_known_as_ours(proxy: ForgetfulProxy) -> None:
    async with far_away(proxy.url) as far:
        log = JetStreamLog(far)
        await log.last("task.result.42.7.t1")
        proxy.swallow = True
        created = await log.create(result("t1", "ours"))
    assert not proxy.swallow
    assert created.first
    assert created.record.event == result("t1", "ours").event


async def test_a_create_that_lost_its_answer_and_the_race_is_known_as_theirs(
    proxy: ForgetfulProxy, event_log: JetStreamLog
) -> None:
    await event_log.create(result("t1", "theirs"))
    async with far_away(proxy.url) as far:
        log = JetStreamLog(far)
        await log.last("task.result.42.7.t1")
        proxy.swallow = True
        created = await log.create(result("t1", "theirs"))
    assert not created.first, "the same message id does not make it ours"


async def test_an_append_without_an_answer_is_temporary_and_its_retry_a_duplicate(
    proxy: ForgetfulProxy,
) -> None:
    async with far_away(proxy.url) as far:
        log = JetStreamLog(far)
        await log.last("mr.opened.1.2.x")
        proxy.swallow = True
        with pytest.raises(Temporary, match="no answer in time") as caught:
            await log.append(opened())
        assert caught.value.peer == "nats"
        assert (await log.append(opened())).duplicate


async def test_a_full_log_says_so_and_keeps_what_it_has(bare_connection: Connection) -> None:
    await apply(bare_connection, topology(max_bytes=100_000), replicas=1)
    log = JetStreamLog(bare_connection)
    assert await log.fill() < 0.01
    await log.append(opened())
    await log.append(published("t1", "x" * 90_000))
    assert 0.85 < await log.fill() < 1
    with pytest.raises(Temporary, match="log is full"):
        await log.append(published("t2", "x" * 20_000))
    with pytest.raises(Temporary, match="log is full"):
        await log.create(published("t2", "x" * 20_000))
    assert len(await log.history(">")) == 2


async def test_without_the_stream_the_answer_names_the_topology(
    bare_connection: Connection,
) -> None:
    log = JetStreamLog(bare_connection)
    with pytest.raises(Temporary, match="topology") as caught:
        await log.append(opened())
    assert caught.value.peer == "nats"
    with pytest.raises(Temporary, match="topology"):
        await log.history("mr.>")
    for reading in (log.last("mr.opened.1.2.x"), log.subjects("mr.>"), log.fill()):
        with pytest.raises(Temporary, match="topology"):
            await reading


async def test_an_unreadable_event_is_left_out_of_history_only(
    connection: Connection, event_log: JetStreamLog
) -> None:
    await connection.publish("mr.opened.42.7.odd", b"{}")
    await connection.publish("mr.opened.42.7.gone", b"[]", headers={ARTIFACT: "1"})
    await event_log.append(opened())
    assert [event.event for event in await event_log.history("mr.>")] == [opened().event]
    with pytest.raises(Permanent, match="not an event"):
        await event_log.last("mr.opened.42.7.odd")


async def test_a_history_of_large_events_comes_in_several_batches(
    event_log: JetStreamLog,
) -> None:
    detail = "x" * 400_000
    await asyncio.gather(*(event_log.append(published(f"t{n}", detail)) for n in range(60)))
    assert len(await event_log.history("task.published.>")) == 60


async def test_ten_megabytes_go_out_and_come_back(connection: Connection) -> None:
    artifacts, body = Artifacts(connection), os.urandom(10_000_000)
    kept = await artifacts.put("t1", body)
    assert await artifacts.get(kept) == body
    assert await artifacts.put("t1", body) == kept


async def test_two_bodies_under_one_name_are_both_kept(connection: Connection) -> None:
    artifacts = Artifacts(connection)
    one, two = await asyncio.gather(artifacts.put("t1", b"1" * 999), artifacts.put("t1", b"2" * 9))
    assert await artifacts.get(one) == b"1" * 999
    assert await artifacts.get(two) == b"2" * 9


async def test_the_same_body_put_by_two_at_once_is_readable(connection: Connection) -> None:
    artifacts, body = Artifacts(connection), os.urandom(2_000_000)
    one, two = await asyncio.gather(artifacts.put("t1", body), artifacts.put("t1", body))
    assert one == two
    assert await artifacts.get(one) == body


async def test_a_missing_artifact_and_a_wrong_one_are_permanent(connection: Connection) -> None:
    artifacts = Artifacts(connection)
    kept = await artifacts.put("t1", b"right")
    missing = Artifact(artifact="other", size=5, digest=digest_of(b"right"))
    with pytest.raises(Permanent, match="is gone"):
        await artifacts.get(missing)
    wrong = Artifact(artifact=kept.artifact, size=5, digest=digest_of(b"wrong"))
    with pytest.raises(Permanent, match="not what was put"):
        await artifacts.get(wrong)


async def test_a_message_over_the_limit_is_refused_here_and_the_connection_lives(
    connection: Connection,
) -> None:
    with pytest.raises(Permanent, match="are allowed"):
        await connection.publish("mr.opened.1.2.x", b"x" * (1024 * 1024 - 100))
    with pytest.raises(Permanent, match="are allowed"):
        await connection.publish("mr.opened.1.2.x", b"", headers={"big": "x" * 1024 * 1024})
    assert (await connection.publish("mr.opened.1.2.x", b"x" * 1_000_000)).seq == 1
