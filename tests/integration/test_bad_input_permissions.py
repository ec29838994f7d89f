"""A service whose NATS user lacks a permission: said in words, nothing lost, mended by the server.

`test_nats_permissions` holds every user against what it may and may not do (SR-17).
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from libs.common.clock import SystemClock
from libs.common.events.envelope import Recorded
from libs.common.jetstream import permissions
from libs.common.jetstream.apply import apply
from libs.common.jetstream.consumer import Consumer
from libs.common.jetstream.dead_letters import DeadLetters
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import DURABLES, topology
from services.ops.doctor import run
from services.ops.doctor.check import Round
from services.ops.doctor.situation import Situation
from tests.contract.event_log import opened
from tests.fixtures import nats
from tests.fixtures.nats import SMALL
from tests.integration.nats_users import ADMIN, RestrictedServer

pytestmark = pytest.mark.real
FETCH = "$JS.API.CONSUMER.MSG.NEXT.EVENTS.reviewer"
ACK = "$JS.ACK.EVENTS.reviewer.>"


def without(user: str, *subjects: str) -> dict[str, Any]:
    """The permissions of this version, but for these subjects of one user."""
    found = copy.deepcopy(permissions.document())
    allowed = found[user]["publish"]["allow"]
    for subject in subjects:
        allowed.remove(subject)
    return found


@asynccontextmanager
async def serving(folder: Path, allowed: dict[str, Any]) -> AsyncIterator[RestrictedServer]:
    """A server with these permissions and our topology, and one new merge request in its log."""
    await asyncio.to_thread(folder.mkdir)
    server = RestrictedServer(folder, allowed)
    await server.start()
    try:
        async with server.connect(ADMIN) as admin:
            durables = tuple(msgspec.structs.replace(one, ack_wait=2) for one in DURABLES)
            await apply(admin, topology(max_bytes=SMALL, durables=durables), replicas=1)
            await JetStreamLog(admin).append(opened())
        yield server
    finally:
        await server.stop()


async def mend(server: RestrictedServer) -> None:
    """Give it the permissions of this version, as an operator does, and start it again."""
    server.allow(permissions.document())
    await server.kill()
    await server.start()


async def reviewed(server: RestrictedServer, words: str) -> list[str]:
    """What a reviewer handles, when the server is mended once `words` were said, until then."""
    seen: asyncio.Queue[str] = asyncio.Queue()
    stopping = asyncio.Event()

    async def handle(event: Recorded) -> None:
        seen.put_nowait(event.subject)

    async with server.connect("reviewer", answer_within=1) as connection:
        consumer = Consumer(
            connection,
            durable="reviewer",
            handler=handle,
            dead=DeadLetters(connection),
            clock=SystemClock(),
        )
        with capture_logs() as lines:
            loop = asyncio.create_task(consumer.run(stopping))
            async with asyncio.timeout(30):
                while not any(line["event"].startswith(words) for line in lines):  # noqa: ASYNC110  # lines set no event
                    await asyncio.sleep(0.02)
                before = [seen.get_nowait() for _ in range(seen.qsize())]
                await mend(server)
                after = await seen.get()
                stopping.set()
                await loop
    return [*before, after]


async def settled(server: RestrictedServer) -> bool:
    """Whether nothing is left to do for the reviewer."""
    async with server.connect(ADMIN) as admin:
        return await nats.settled(admin, "reviewer")


async def test_a_service_that_may_not_fetch_says_so_and_goes_on_once_it_may(tmp_path: Path):
    async with serving(tmp_path / "nats", without("reviewer", FETCH)) as server:
        said = f"NATS does not let reviewer publish to {FETCH} (NATS_CREDENTIALS)"

        assert [opened().subject] == await reviewed(server, said)
        assert await settled(server)


async def test_an_event_that_may_not_be_settled_comes_again_once_it_may(tmp_path: Path):
    async with serving(tmp_path / "nats", without("reviewer", ACK)) as server:
        said = "NATS does not let reviewer publish to $JS.ACK.EVENTS.reviewer."

        assert [opened().subject] * 2 == await reviewed(server, said)
        assert await settled(server)


async def test_the_doctor_names_what_its_user_may_not_do(tmp_path: Path):
    asked = "$JS.API.STREAM.INFO.EVENTS"
    async with serving(tmp_path / "nats", without("ops", asked)) as server:
        given = {"NATS_URL": server.url, "NATS_CREDENTIALS": str(server.seed("ops"))}
        probes = run.probes(Situation(given=given))
        checks = await Round().run([one for one in probes if one.name == "NATS"])

    [line] = [check for check in checks if check.state == "broken"]
    assert f"NATS does not let gca-doctor publish to {asked}" in line.meaning
