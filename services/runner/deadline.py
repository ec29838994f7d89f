"""One task's time, split: until when to work, and until when the result can be handed in. Pure."""

from __future__ import annotations

import msgspec

SHARE = 0.05
LEAST, MOST = 2.0, 60.0


class Deadline(msgspec.Struct, frozen=True, kw_only=True):
    """Both in seconds since 1970; between them lies the reserve for handing in the result."""

    work: float
    end: float

    @classmethod
    def of(cls, started_at: float, timeout: float) -> Deadline:
        reserve = min(max(timeout * SHARE, LEAST), MOST, timeout / 2)
        return cls(work=started_at + timeout - reserve, end=started_at + timeout)
