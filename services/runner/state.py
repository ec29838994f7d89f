"""What the step `clone` leaves for the step `run`: a small file in the work folder."""

from __future__ import annotations

from pathlib import Path

import msgspec

FILE = "clone.json"


class CloneState(msgspec.Struct, frozen=True, kw_only=True):
    """When the Job began (seconds since 1970), and how many seconds the clone took."""

    started_at: float
    seconds: float


def write(work_dir: Path, state: CloneState) -> None:
    (work_dir / FILE).write_bytes(msgspec.json.encode(state))


def read(work_dir: Path) -> CloneState | None:
    """None when there is none, or none that can be read."""
    try:
        return msgspec.json.decode((work_dir / FILE).read_bytes(), type=CloneState)
    except (OSError, msgspec.MsgspecError):
        return None
