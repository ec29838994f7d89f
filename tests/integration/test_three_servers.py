"""What must be so on three servers as on one: create-once, counted launches, slots, leases."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from libs.common.clock import SystemClock
from libs.common.errors import Temporary
from libs.common.events.envelope import AnyEvent
from libs.common.events.log import EventLog
from libs.common.jetstream.apply import apply
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.leases import Leases
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import LOCKS, Topology, bucket
from libs.common.launching.launches import Launches
from libs.common.launching.slots import Slots
from tests.contract.event_log import EventLogContract, published, result
from tests.fixtures.nats import never_closed
from tests.integration.nats_cluster import Cluster, running_cluster

pytestmark = pytest.mark.real


class TestLogOnThreeServers(EventLogContract):
    @pytest.fixture
    def log(self, cluster_connection: Connection) -> JetStreamLog:
        return JetStreamLog(cluster_connection)

    async def test_of_many_creates_at_once_one_is_first(self, log: EventLog) -> None:
        """The leader may refuse before the first write can be read: then callers try again."""
        tried = await asyncio.gather(
            *(eventually(log.create, result("t1", f"number {n}")) for n in range(20))
        )
        assert len([created for created in tried if created.first]) == 1
        assert len({created.record.seq for created in tried}) == 1

    async def test_a_large_event_comes_back_whole(self, log: EventLog) -> None:
        """Its pieces are read from any server, and one may be a moment behind."""
        new = published("t1", "x" * 3_000_000)
        await log.append(new)

        async def read() -> list[AnyEvent]:
            found = [record.event for record in await log.history("task.>")]
            if not found:
                raise Temporary("that server does not have it yet")
            return found

        assert await eventually(read) == [new.event]


async def test_of_replicas_that_count_one_launch_one_is_first(
    nats_cluster: Cluster, cluster_bucket: JetStreamKeyValue
):
    """Each asks another server."""
    assert await cluster_bucket.keys() == []
    now, counted = SystemClock().now(), []

    async def replica(url: str) -> None:
        async with connected(url, name="replica", on_closed=never_closed) as connection:
            launches = Launches(JetStreamKeyValue(connection, LOCKS))
            for number in range(20):
                seen = await launches.get(f"job-{number}")
                if await launches.add(f"job-{number}", seen, now) and seen.count == 0:
                    counted.append(number)

    await asyncio.gather(*(replica(url) for url in nats_cluster.url.split(",")))
    assert sorted(counted) == list(range(20))


async def test_never_more_tasks_than_slots_whichever_server_is_asked(
    nats_cluster: Cluster, cluster_bucket: JetStreamKeyValue
):
    async def replica(url: str, tasks: str) -> list[bool]:
        async with connected(url, name="replica", on_closed=never_closed) as connection:
            slots = Slots(JetStreamKeyValue(connection, LOCKS), 3)
            return await asyncio.gather(*(slots.take(task) for task in tasks))

    urls = nats_cluster.url.split(",")
    took = await asyncio.gather(*(replica(url, "abcdef") for url in urls))
    holders = await Slots(cluster_bucket, 3).held()
    assert 1 <= len(holders) <= 3
    assert sum(map(any, zip(*took, strict=True))) <= 3


async def test_a_lease_outlives_the_server_that_led_its_bucket(tmp_path: Path):
    async with (
        running_cluster(tmp_path) as cluster,
        connected(cluster.url, name="test", on_closed=never_closed) as connection,
    ):
        await apply(connection, Topology(streams=(bucket(LOCKS),), durables=()), replicas=3)
        leases = Leases(JetStreamKeyValue(connection, LOCKS), SystemClock())
        leader = (await connection.api(f"STREAM.INFO.KV_{LOCKS}"))["cluster"]["leader"]
        async with leases.held("k", ttl=20) as lease:
            await next(member for member in cluster.members if member.name == leader).kill()
            assert await eventually(leases.acquire, "k", "other") is None
            assert await eventually(lease.renew)
            lease.check()
        assert await eventually(leases.acquire, "k", "other") is not None


async def eventually(call, *given):
    """While a leader is chosen, calls fail for some seconds."""
    async with asyncio.timeout(14):
        while True:
            try:
                return await call(*given)
            except Temporary:
                await asyncio.sleep(0.1)
