"""Facts wait while the log is nearly full, whoever found them, so that tasks can still end."""

from __future__ import annotations

import pytest

from libs.common import subjects
from libs.common.errors import Temporary
from libs.common.events.envelope import NewEvent
from libs.common.events.facts import MrClosed
from services.ingest.intake import FULL, FactLog, Intake
from tests.fakes.clock import START
from tests.fakes.log import MemoryLog

NEW = NewEvent(
    subject=subjects.mr_closed(42, 7, "closed"),
    event=MrClosed(project_id=42, iid=7, state="closed"),
    message_id="mr.closed-42-7",
    source="ingest",
    time=START,
)


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def intake(log: MemoryLog) -> Intake:
    return Intake(log)


@pytest.mark.parametrize("way", ["append", "create"])
async def test_what_a_poller_finds_waits_for_room_like_a_webhook(log, intake, way):
    facts = FactLog(log, intake)
    intake.share = FULL
    with pytest.raises(Temporary, match="85% full"):
        await getattr(facts, way)(NEW)
    with pytest.raises(Temporary, match="85% full"):
        await intake.append(NEW)
    assert [] == await facts.history("mr.>")

    intake.share = FULL - 0.01
    await getattr(facts, way)(NEW)

    assert [NEW.subject] == [record.subject for record in await facts.history("mr.>")]
