"""`gca topology apply` on a log that is there."""

from __future__ import annotations

import pytest

from libs.common.jetstream.apply import apply
from libs.common.jetstream.topology import topology
from services.ops import topology as command
from services.ops.doctor.situation import Situation

pytestmark = pytest.mark.real


async def test_events_max_bytes_changes_a_log_that_is_there(bare_connection, nats_server, capsys):
    await apply(bare_connection, topology(max_bytes=8 * 1024**2), replicas=1)
    given = {"NATS_URL": nats_server.url, "EVENTS_MAX_BYTES": "16Mi"}

    assert 1 == await command.run("diff", 1, Situation(given=given))
    assert 0 == await command.run("apply", 1, Situation(given=given))
    assert 0 == await command.run("diff", 1, Situation(given=given))

    assert "max_bytes: 8388608 -> 16777216" in capsys.readouterr().out
    found = (await bare_connection.api("STREAM.INFO.EVENTS"))["config"]
    assert 16 * 1024**2 == found["max_bytes"]
