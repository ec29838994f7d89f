"""Task tokens: proof that a Job may fetch one task and hand in its one result.

Minted by the reconciler, verified by the task door; both know `TASK_DOOR_SECRET`.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime


def mint(secret: str, task_id: str, expires_at: datetime) -> str:
    """A token good for `task_id` until `expires_at`."""
    expiry = str(int(expires_at.astimezone(UTC).timestamp()))
    return f"{expiry}.{_signature(secret, task_id, expiry)}"


def verify(secret: str, task_id: str, token: str, now: datetime) -> bool:
    """Whether the token is ours, for this task, and not yet expired (constant time)."""
    expiry, _, signature = token.partition(".")
    expected = _signature(secret, task_id, expiry)
    genuine = hmac.compare_digest(expected.encode(), signature.encode(errors="replace"))
    return genuine and expiry.isdecimal() and now.timestamp() <= int(expiry)


def _signature(secret: str, task_id: str, expiry: str) -> str:
    text = f"gca-task:{task_id}:{expiry}"
    # A header may hold bytes that are no text; they must fail to match, not to encode.
    said = text.encode(errors="replace")
    return hmac.new(secret.encode(), said, hashlib.sha256).hexdigest()
