"""What GitLab refuses, and when it is away, as decisions; texts are short and hold no token.

Raised by `connection`; handlers let them pass, except where a refusal is an answer (`NotFound`: it
is gone; `Invalid`: not at this position; `AlreadyThere`: made before).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from libs.common.errors import AgentError, Permanent, Temporary, cut
from libs.common.git.errors import scrub
from libs.common.gitlab.server import Server

LONGEST_DELAY = 300.0
"""Seconds; no header makes us wait longer before we look again."""
TOKEN_DELAY = 60.0
PEER = "gitlab"


class GitLabError(AgentError):
    """Root of this door's errors; `status` is the HTTP status when there was one."""

    status: int | None = None


class _Refused(GitLabError, Permanent):
    def __init__(self, reason: str, *, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


class NotFound(_Refused):
    """GitLab itself says that it is not there, or not for us (it never says which)."""


class Forbidden(_Refused):
    """The token's user may not do that here."""


class Conflict(_Refused):
    """It exists already, or changed meanwhile."""


class AlreadyThere(Conflict):
    """What was to be made exists; the reason has GitLab's own words, often with its `!iid`."""


class Invalid(_Refused):
    """GitLab does not take what we sent."""


class _Away(GitLabError, Temporary):
    def __init__(
        self,
        reason: str,
        *,
        delay: float = 15.0,
        status: int | None = None,
        maybe_done: bool = False,
    ) -> None:
        super().__init__(reason, delay=delay, peer=PEER)
        self.status = status
        self.maybe_done = maybe_done
        """A write was sent and may have happened: look before doing it again."""


class RateLimited(_Away):
    """Too many requests; `delay` is what GitLab asked for, within bounds."""


class Unavailable(_Away):
    """GitLab is away, in maintenance, or something else answered in its place."""


class TimedOut(_Away):
    """No answer in time."""


class Unauthorized(_Away):
    """The token is wrong, expired or lacks a scope: an operator can heal that, so work waits."""


def refusal(
    status: int, headers: Mapping[str, str], body: bytes, *, server: Server, now: float
) -> GitLabError:
    """The error for an answer that is not 2xx. Pure; header names in lower case.

    GitLab's API explains itself in JSON. A refusal in HTML or text comes from a proxy or a
    throttle, and says nothing about the merge request.
    """
    said = _message(body)
    if said is not None:
        said = scrub(said, [server.token])
    text = cut(f"GitLab answered {status}: {said or 'no reason in JSON; is GITLAB_URL right?'}")
    if status == 429:
        return RateLimited(text, delay=rate_limit_delay(headers, now), status=status)
    if status == 401 or (status == 403 and "scope" in (said or "")):
        reason = cut(
            f"GitLab refused the token of {server.token_setting}: {said or 'unauthorized'}"
        )
        return Unauthorized(reason, delay=TOKEN_DELAY, status=status)
    if 300 <= status < 400:
        text = f"GitLab answered {status}, a redirect, which is not followed; check GITLAB_URL"
        return Unavailable(text, delay=TOKEN_DELAY, status=status)
    if status >= 500 or said is None or _passing(status, said):
        wait = retry_after(headers, now)
        return Unavailable(text, delay=15.0 if wait is None else wait, status=status)
    kinds: dict[int, type[_Refused]] = {
        403: Forbidden,
        404: NotFound,
        409: Conflict,
        410: NotFound,
    }
    return kinds.get(status, Invalid)(text, status=status)


def _passing(status: int, said: str) -> bool:
    """Refusals in JSON that heal by themselves: locks, early data, a read-only instance."""
    low = said.lower()
    locked = status == 409 and "resource lock" in low
    return locked or status in (408, 425) or (status == 403 and "read-only" in low)


def rate_limit_delay(headers: Mapping[str, str], now: float) -> float:
    """Seconds to wait after a 429: Retry-After, else RateLimit-Reset, else a minute's limit."""
    wait = retry_after(headers, now)
    if wait is not None:
        return wait
    reset = _number(headers.get("ratelimit-reset", ""))
    return 60.0 if reset is None else _bounded(reset - now)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds of a Retry-After header, given as seconds or as a date; None without one."""
    value = headers.get("retry-after", "")
    seconds = _number(value)
    if seconds is not None:
        return _bounded(seconds)
    try:
        return _bounded(parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


def _number(value: str) -> float | None:
    return float(value) if value.isascii() and value.strip().isdecimal() else None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 1.0), LONGEST_DELAY)


def _message(body: bytes) -> str | None:
    """GitLab's reason, which may be text, a list or a dictionary; None when it is no JSON."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    named = [answer[name] for name in ("message", "error", "error_description") if name in answer]
    return " ".join(_spoken(value) for value in named)


def _spoken(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
