"""A nats-server too old for us: refused in words at the start, and when it comes back as one.

What listens here speaks as much of the protocol as a client needs to connect; an old server cannot
be had from the package index. `test_doctor_breakages` has the doctor's line.
"""

from __future__ import annotations

import asyncio
import json
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from libs.common.errors import SettingsError
from libs.common.jetstream.connecting import connected
from tests.fixtures.nats import never_closed
from tests.fixtures.ports import free_port
from tests.integration.test_bad_input_nats_away import SETTINGS, said, start

pytestmark = pytest.mark.real


class Listener:
    """Greets as nats-server of `version`, and keeps its clients alive."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.port = 0
        self._clients: set[StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"nats://secret@127.0.0.1:{self.port}"

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        greeting = {"version": self.version, "jetstream": True, "max_payload": 1024 * 1024}
        writer.write(f"INFO {json.dumps(greeting)}\r\n".encode())
        self._clients.add(writer)
        try:
            while line := await reader.readline():
                if line.startswith(b"PING"):
                    writer.write(b"PONG\r\n")
        finally:
            self._clients.discard(writer)
            writer.close()

    def hang_up(self) -> None:
        for writer in list(self._clients):
            writer.close()


@pytest.fixture
async def nats() -> AsyncIterator[Listener]:
    listener = Listener("2.10.29")
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0)
    listener.port = server.sockets[0].getsockname()[1]
    yield listener
    server.close()
    listener.hang_up()


WORDS = (
    "NATS_URL: nats-server 2.10.29 is too old, 2.11 or newer is needed: upgrade the one at nats://"
)


async def test_a_server_too_old_is_refused_with_what_to_do(nats: Listener):
    opening = connected(nats.url, name="t", on_closed=never_closed)

    with pytest.raises(SettingsError) as caught:
        await opening.__aenter__()

    assert str(caught.value).startswith(WORDS)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("service", SETTINGS)
async def test_a_service_at_a_server_too_old_ends_and_says_so(tmp_path, nats, service):
    process = await start(service, tmp_path, NATS_URL=nats.url, HEALTH_PORT=str(free_port()))
    try:
        line = json.loads(await said(process, "service ended"))

        assert line["why"].startswith(WORDS)
        async with asyncio.timeout(30):
            assert await process.wait() == 3
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_a_process_whose_server_comes_back_too_old_is_told_to_end(nats: Listener):
    nats.version = "2.15.1"
    told = asyncio.Event()
    with capture_logs() as lines:
        async with connected(nats.url, name="t", on_closed=told.set):
            nats.version = "2.10.29"
            nats.hang_up()
            async with asyncio.timeout(10):
                await told.wait()

    assert 1 == len([line for line in lines if line["event"].startswith(WORDS)])
