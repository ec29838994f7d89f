"""How many events a second `gca replay` finds and appends, on a log that nobody reads."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import msgspec

from bench.children import output_of
from bench.history import HEADS, PER_MERGE_REQUEST, filled_log

_COMMAND = ("replay", "mr.opened.>", "--since", "1d", "--rate", "1000000", "--yes")
_APPENDED = re.compile(r"^replay \S+: (\d+) of \d+ appended, ([\d.]+) s$", re.MULTILINE)


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """One run; seconds. `facts` were looked at, the newest of each merge request was appended."""

    events: int
    facts: int
    appended: int
    appending: float
    whole: float


async def measure(folder: Path, *, events: int) -> Replayed:
    """Replays the newest head of each merge request in a log of so many events."""
    async with filled_log(folder, events) as url:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        settings = inherited | {"NATS_URL": url, "GCA_STATE_DIR": str(folder / "state")}
        began = time.perf_counter()
        said = await output_of(["services.ops", *_COMMAND], settings)
        whole = time.perf_counter() - began
    appended, seconds = appended_of(said)
    merge_requests = events // PER_MERGE_REQUEST
    if appended != merge_requests:
        raise RuntimeError(f"{appended} of {merge_requests} were appended:\n{said[-500:]}")
    return Replayed(
        events=events,
        facts=merge_requests * HEADS,
        appended=appended,
        appending=seconds,
        whole=whole,
    )


def appended_of(said: str) -> tuple[int, float]:
    """Events and seconds, by the last words of the command."""
    found = _APPENDED.search(said)
    if found is None:
        raise RuntimeError(f"gca replay did not say what it appended:\n{said[-500:]}")
    return int(found[1]), float(found[2])
