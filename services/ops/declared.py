"""The topology as this operator wants it: pure. Called by `topology`, `up` and the doctor."""

from __future__ import annotations

import re
from collections.abc import Mapping

from libs.common.errors import SettingsError
from libs.common.jetstream.topology import DEFAULT_MAX_BYTES, Topology, topology

SETTING = "EVENTS_MAX_BYTES"
LEAST = 1024**2
_UNITS = {"": 1, "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4}


def declared(settings: Mapping[str, str]) -> Topology:
    """Raises `SettingsError` when EVENTS_MAX_BYTES is no size, or too small to work with."""
    return topology(max_bytes=_bytes(settings.get(SETTING, "")))


def _bytes(text: str) -> int:
    if not text.strip():
        return DEFAULT_MAX_BYTES
    match = re.fullmatch(r"([1-9][0-9]{0,17})(|[KMGT]i)", text.strip())
    size = int(match[1]) * _UNITS[match[2]] if match else 0
    if not LEAST <= size < 2**63:
        raise SettingsError([f"{SETTING}: must be bytes, or a size such as 2Gi, from 1Mi on"])
    return size
