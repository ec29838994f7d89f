"""Reading values out of a webhook body that may hold anything: pure, nothing here raises.

Called by `translate`. A value of the wrong type counts as missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

Body = Mapping[str, Any]
LONGEST_NAME = 255
"""Characters of a branch name or path that an event keeps; GitLab's own limit for both."""
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_DRAFT_TITLE = re.compile(r"\s*(?:\[(?:draft|wip)\]|\(draft\)|(?:draft|wip):)", re.IGNORECASE)
_LARGEST_ID = 2**63 - 1


def mapping(value: Any) -> Body:
    return value if isinstance(value, dict) else {}


def text(value: Any, longest: int = LONGEST_NAME) -> str:
    """One string that can be encoded, cut to `longest` characters; else empty."""
    if not isinstance(value, str):
        return ""
    return value[:longest].encode("utf-8", "replace").decode()


def positive(value: Any) -> int | None:
    """An id as GitLab counts them: a whole number from 1 on; `true` is not one."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 < value <= _LARGEST_ID else None


def sha(value: Any) -> str | None:
    """A full commit sha (SHA-1 or SHA-256) in lower case."""
    return value if isinstance(value, str) and _SHA.fullmatch(value) else None


def time(value: Any) -> datetime | None:
    """A time in UTC. GitLab has sent `2025-08-06 01:11:08 UTC`, ISO 8601, and that with ms."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        found = datetime.fromisoformat(value.strip().removesuffix(" UTC"))
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def moment(value: Any) -> str | None:
    """A time as part of a message id: the same for each format it may come in.

    A format that we cannot read still tells one moment from another, so its letters and digits
    are kept; None when there is nothing to tell by.
    """
    found = time(value)
    if found is not None:
        return f"{found:%Y%m%dT%H%M%S}{found.microsecond // 1000:03d}Z"
    return re.sub(r"[^0-9A-Za-z]", "", text(value, 40)) or None


def is_draft_title(title: Any) -> bool:
    """Whether the title marks a draft, as GitLab reads it (WIP until 14.x)."""
    return isinstance(title, str) and _DRAFT_TITLE.match(title) is not None
