"""How much room the operator gives the log."""

from __future__ import annotations

import pytest

from libs.common.errors import SettingsError
from libs.common.jetstream.topology import DEFAULT_MAX_BYTES, EVENTS
from services.ops.declared import declared


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", DEFAULT_MAX_BYTES),
        ("1048576", 1024**2),
        ("500Mi", 500 * 1024**2),
        (" 4Gi ", 4 * 1024**3),
    ],
)
def test_the_log_gets_the_room_that_the_setting_says(given, expected):
    streams = {stream.name: stream for stream in declared({"EVENTS_MAX_BYTES": given}).streams}
    assert expected == streams[EVENTS].max_bytes


@pytest.mark.parametrize("given", ["much", "1Ki", "0", "-1", "1.5Gi", "2GB", "9999999Ti", "1 Gi"])
def test_what_is_no_size_or_too_small_is_refused_by_name(given):
    with pytest.raises(SettingsError, match="EVENTS_MAX_BYTES: must be bytes"):
        declared({"EVENTS_MAX_BYTES": given})
