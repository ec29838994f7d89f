from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import TypeVar

import pytest
import structlog

from libs.common.clock import Clock, SystemClock
from libs.common.errors import Temporary
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.leases import Leases
from libs.common.kv import KeyValue
from tests.contract.key_value import Pass
from tests.fakes.clock import FakeClock
from tests.fakes.kv import MemoryKeyValue


class LeasesContract:
    """Subclasses bring `clock`, `keys` and `time_passes`."""

    @pytest.fixture
    def leases(self, keys: KeyValue, clock: Clock) -> Leases:
        return Leases(keys, clock)

    async def test_one_owner_has_the_lease(self, leases: Leases) -> None:
        lease = await leases.acquire("publish.42.7", "a")
        assert lease is not None
        assert lease.valid()
        assert await leases.acquire("publish.42.7", "b") is None
        assert await leases.acquire("publish.42.8", "b") is not None

    async def test_a_released_lease_is_free_at_once(self, leases: Leases) -> None:
        first = await leases.acquire("k", "a")
        assert first is not None
        await first.release()
        second = await leases.acquire("k", "b")
        assert second is not None
        assert second.revision > first.revision

    async def test_an_owner_that_asks_again_still_has_it(self, leases: Leases) -> None:
        await leases.acquire("k", "a")
        assert await leases.acquire("k", "a") is not None

    async def test_a_lease_runs_out(self, leases: Leases, time_passes: Pass) -> None:
        old = await leases.acquire("k", "a", ttl=1)
        assert old is not None
        await time_passes(1.6)
        assert not old.valid()
        new = await leases.acquire("k", "b", ttl=5)
        assert new is not None
        assert not await leases.renew("k", "a")
        assert not await leases.release("k", "a")
        assert new.valid()
        assert await leases.acquire("k", "c") is None

    async def test_a_renewed_lease_goes_on(self, leases: Leases, time_passes: Pass) -> None:
        lease = await leases.acquire("k", "a", ttl=2)
        assert lease is not None
        for _ in range(3):
            await time_passes(1)
            assert await lease.renew()
        assert lease.valid()
        assert await leases.acquire("k", "b") is None
        await time_passes(2.6)
        assert await leases.acquire("k", "b") is not None

    async def test_an_owner_renews_and_releases_without_the_lease_object(
        self, leases: Leases, time_passes: Pass
    ) -> None:
        await leases.acquire("slots.1", "review-42-7", ttl=1)
        assert await leases.renew("slots.1", "review-42-7", ttl=30)
        await time_passes(1.6)
        assert await leases.acquire("slots.1", "other") is None
        assert await leases.release("slots.1", "review-42-7")
        assert await leases.acquire("slots.1", "other") is not None

    async def test_a_holder_that_was_paused_past_the_ttl_learns_that_it_lost(
        self, leases: Leases, time_passes: Pass
    ) -> None:
        lease = await leases.acquire("k", "paused", ttl=1)
        assert lease is not None
        await time_passes(1.6)
        assert await leases.acquire("k", "other", ttl=30) is not None
        async with lease:
            assert not lease.valid()
            assert not await lease.renew()
            assert lease.lost.is_set()
            assert not lease.valid()
        assert await leases.acquire("k", "third") is None, "the new holder keeps it"

    async def test_held_gives_up_when_somebody_else_stays(self, leases: Leases) -> None:
        await leases.acquire("k", "other")
        with pytest.raises(Temporary, match="somebody else is at k"):
            async with leases.held("k"):
                pass

    async def test_held_releases_when_the_block_fails(self, leases: Leases) -> None:
        with pytest.raises(ZeroDivisionError):
            async with leases.held("k"):
                raise ZeroDivisionError
        assert await leases.acquire("k", "other") is not None

    async def test_holders_whose_clocks_differ_by_hours_exclude_each_other(
        self, keys: KeyValue, clock: Clock, time_passes: Pass
    ) -> None:
        ahead = Leases(keys, Skewed(clock, hours=+3))
        behind = Leases(keys, Skewed(clock, hours=-3))
        first = await ahead.acquire("k", "ahead", ttl=2)
        assert first is not None
        assert await behind.acquire("k", "behind", ttl=2) is None
        await time_passes(1)
        assert first.valid()
        assert await first.renew()
        await time_passes(2.6)
        assert not first.valid()
        second = await behind.acquire("k", "behind", ttl=30)
        assert second is not None
        assert second.valid()
        assert not await first.renew()

    async def test_a_clock_set_ahead_ends_a_lease_early_and_a_renewal_brings_it_back(
        self, keys: KeyValue, clock: Clock
    ) -> None:
        skewed = Skewed(clock)
        lease = await Leases(keys, skewed).acquire("k", "a", ttl=30)
        assert lease is not None
        skewed.hours = 1
        with pytest.raises(Temporary, match="the lease k was lost"):
            lease.check()
        assert await lease.renew()
        lease.check()

    async def test_a_clock_set_back_makes_no_lease_longer(
        self, keys: KeyValue, clock: Clock, time_passes: Pass
    ) -> None:
        skewed, counter = Skewed(clock), Counter()
        leases = Leases(keys, skewed, counter.read)
        lease = await leases.acquire("k", "a", ttl=1)
        assert lease is not None
        skewed.hours = -1
        counter.seconds += 1.6
        await time_passes(1.6)
        assert not lease.valid()
        assert await leases.acquire("k", "b") is not None


class Skewed:
    """A holder's own clock, wrong by some hours."""

    def __init__(self, clock: Clock, hours: float = 0) -> None:
        self.hours = hours
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now() + timedelta(hours=self.hours)


class Counter:
    """Seconds that nobody sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def read(self) -> float:
        return self.seconds


_T = TypeVar("_T")


class Distant(MemoryKeyValue):
    """Writes arrive in their order a while after they were sent, reads see what has arrived."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.renewed = asyncio.Event()
        self._wire = asyncio.Lock()

    async def update(
        self, key: str, value: bytes, revision: int, *, ttl: int | None = None
    ) -> int | None:
        self.renewed.set()
        return await self._arrives(super().update(key, value, revision, ttl=ttl))

    async def delete(self, key: str, revision: int | None = None) -> bool:
        return await self._arrives(super().delete(key, revision))

    async def _arrives(self, write: Coroutine[None, None, _T]) -> _T:
        async def travel() -> _T:
            async with self._wire:
                for _ in range(20):
                    await asyncio.sleep(0)
                return await write

        # What was sent arrives, also when nobody waits for the answer any more.
        return await asyncio.shield(asyncio.ensure_future(travel()))


class TestLeasesInMemory(LeasesContract):
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def keys(self, clock: FakeClock) -> MemoryKeyValue:
        return MemoryKeyValue(clock)

    @pytest.fixture
    def time_passes(self, clock: FakeClock) -> Pass:
        async def advance(seconds: float) -> None:
            clock.advance(seconds)

        return advance

    async def test_a_lease_given_up_while_it_is_being_renewed_is_free_at_once(
        self, clock: FakeClock
    ) -> None:
        keys = Distant(clock)
        leases = Leases(keys, clock)
        async with leases.held("k", ttl=1):
            await keys.renewed.wait()
        assert await leases.acquire("k", "b") is not None

    async def test_a_lease_that_cannot_be_given_up_says_when_it_is_free(
        self, leases: Leases, keys: MemoryKeyValue
    ) -> None:
        with structlog.testing.capture_logs() as logs:
            async with leases.held("k", ttl=30):
                keys.fail_next = [Temporary("away", peer="nats")]
        assert [(line["event"], line["free_in"]) for line in logs] == [
            ("a lease was not released", 30)
        ]

    async def test_a_write_whose_answer_was_lost_is_found_again(
        self, leases: Leases, keys: MemoryKeyValue
    ) -> None:
        await keys.create("k", b"a", ttl=30)
        keys.fail_next = [Temporary("no answer", peer="nats")]
        assert await leases.acquire("k", "a") is not None

    async def test_a_write_that_never_happened_is_no_lease(
        self, leases: Leases, keys: MemoryKeyValue
    ) -> None:
        keys.fail_next = [Temporary("no answer", peer="nats")]
        with pytest.raises(Temporary):
            await leases.acquire("k", "a")

    async def test_a_clock_that_runs_slow_by_a_tenth_stops_before_the_server_frees(
        self, keys: MemoryKeyValue, clock: FakeClock
    ) -> None:
        slow, counter = FakeClock(), Counter()
        lease = await Leases(keys, slow, counter.read).acquire("k", "a", ttl=30)
        assert lease is not None
        clock.advance(29)
        slow.advance(29 * 0.9)
        counter.seconds = 29 * 0.9
        assert not lease.valid()
        assert await Leases(keys, clock).acquire("k", "b") is None

    async def test_one_failed_renewal_is_no_loss_until_the_deadline(
        self, leases: Leases, keys: MemoryKeyValue, clock: FakeClock
    ) -> None:
        lease = await leases.acquire("k", "a", ttl=30)
        assert lease is not None
        clock.advance(10)
        keys.fail_next = [Temporary("away", peer="nats")]
        with pytest.raises(Temporary):
            await lease.renew()
        assert lease.valid()
        clock.advance(16)
        assert not lease.valid(), "counted as over before the server frees it"
        assert await leases.acquire("k", "b") is None


@pytest.mark.real
class TestLeasesOnJetStream(LeasesContract):
    @pytest.fixture
    def clock(self) -> SystemClock:
        return SystemClock()

    @pytest.fixture
    def keys(self, connection: Connection) -> KeyValue:
        return JetStreamKeyValue(connection, "LOCKS")

    @pytest.fixture
    def time_passes(self) -> Pass:
        return asyncio.sleep

    async def test_held_renews_by_itself_and_frees_at_the_end(self, leases: Leases) -> None:
        async with leases.held("k", ttl=2) as lease:
            await asyncio.sleep(3)
            assert lease.valid()
            assert await leases.acquire("k", "b") is None
        assert await leases.acquire("k", "b") is not None

    async def test_a_block_whose_lease_is_lost_is_cancelled(
        self, leases: Leases, keys: KeyValue
    ) -> None:
        async def lose_it() -> None:
            async with leases.held("k", ttl=1):
                await keys.delete("k")
                assert await keys.create("k", b"somebody else", ttl=30)
                await asyncio.Event().wait()

        async with asyncio.timeout(10):
            with pytest.raises(Temporary, match="the lease k was lost"):
                await lose_it()
        found = await keys.get("k")
        assert found is not None
        assert found.value == b"somebody else"

    async def test_a_timeout_of_the_block_is_its_own(self, leases: Leases) -> None:
        with pytest.raises(TimeoutError):
            async with leases.held("k"), asyncio.timeout(0.01):
                await asyncio.Event().wait()

    async def test_held_waits_for_its_turn(self, leases: Leases) -> None:
        order: list[str] = []

        async def work(name: str) -> None:
            async with leases.held("k", wait=20):
                order.append(f"{name} in")
                await asyncio.sleep(0.05)
                order.append(f"{name} out")

        await asyncio.gather(work("a"), work("b"), work("c"))
        ins = [entry.split()[0] for entry in order[::2]]
        assert order == [line for name in ins for line in (f"{name} in", f"{name} out")]
        assert sorted(ins) == ["a", "b", "c"]


@pytest.mark.real
class TestLeasesOnThreeServers(TestLeasesOnJetStream):
    @pytest.fixture
    def keys(self, cluster_bucket: JetStreamKeyValue) -> KeyValue:
        return cluster_bucket
