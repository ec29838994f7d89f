from __future__ import annotations

import asyncio

import pytest

from libs.common.errors import Permanent
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.kv import KeyValue
from tests.contract.key_value import KeyValueContract, Pass
from tests.fakes.clock import FakeClock
from tests.fakes.kv import MemoryKeyValue


class TestMemoryKeyValue(KeyValueContract):
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def keys(self, clock: FakeClock) -> KeyValue:
        return MemoryKeyValue(clock)

    @pytest.fixture
    def time_passes(self, clock: FakeClock) -> Pass:
        async def advance(seconds: float) -> None:
            clock.advance(seconds)

        return advance


@pytest.mark.real
class TestJetStreamKeyValue(KeyValueContract):
    @pytest.fixture
    def keys(self, connection: Connection) -> KeyValue:
        return JetStreamKeyValue(connection, "LOCKS")

    @pytest.fixture
    def time_passes(self) -> Pass:
        # The server's clock cannot be moved; whole seconds are its shortest ttl.
        return asyncio.sleep

    @pytest.mark.parametrize("key", ["", "a b", "a..b", ".a", "a.", "*", "a.>", "ä"])
    async def test_a_key_that_could_be_a_wildcard_is_refused(
        self, keys: KeyValue, key: str
    ) -> None:
        with pytest.raises(Permanent, match="cannot be a key"):
            await keys.create(key, b"")

    async def test_a_ttl_under_a_second_is_refused(self, keys: KeyValue) -> None:
        with pytest.raises(Permanent, match="too short"):
            await keys.create("k", b"", ttl=0)


@pytest.mark.real
class TestKeyValueOnThreeServers(KeyValueContract):
    @pytest.fixture
    def keys(self, cluster_bucket: JetStreamKeyValue) -> KeyValue:
        return cluster_bucket

    @pytest.fixture
    def time_passes(self) -> Pass:
        return asyncio.sleep
