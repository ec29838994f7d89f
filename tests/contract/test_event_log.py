from __future__ import annotations

import pytest

from libs.common.events.log import EventLog
from libs.common.jetstream.log import JetStreamLog
from tests.contract.event_log import EventLogContract
from tests.fakes.log import MemoryLog


class TestMemoryLog(EventLogContract):
    @pytest.fixture
    def log(self) -> EventLog:
        return MemoryLog()


@pytest.mark.real
class TestJetStreamLog(EventLogContract):
    @pytest.fixture
    def log(self, event_log: JetStreamLog) -> EventLog:
        return event_log
