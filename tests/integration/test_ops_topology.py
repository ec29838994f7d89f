"""`gca topology apply` on a log that is there."""

from __future__ import annotations

import argparse

import pytest

from libs.common.jetstream.apply import apply
from libs.common.jetstream.topology import topology
from services.ops import topology as command
from services.ops.doctor.situation import Situation

pytestmark = pytest.mark.real


async def topology_of(action: str, given: dict[str, str]) -> int:
    asked = argparse.Namespace(action=action, replicas=1, wait=5.0)
    return await command.run(asked, Situation(given=given))


async def test_events_max_bytes_changes_a_log_that_is_there(bare_connection, nats_server, capsys):
    await apply(bare_connection, topology(max_bytes=8 * 1024**2), replicas=1)
    given = {"NATS_URL": nats_server.url, "EVENTS_MAX_BYTES": "16Mi"}

    assert [1, 0, 0] == [await topology_of(action, given) for action in ("diff", "apply", "diff")]

    assert "max_bytes: 8388608 -> 16777216" in capsys.readouterr().out
    found = (await bare_connection.api("STREAM.INFO.EVENTS"))["config"]
    assert 16 * 1024**2 == found["max_bytes"]
