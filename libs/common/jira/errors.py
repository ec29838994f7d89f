"""What Jira refuses, and when it is away, as decisions; texts are short and hold no token.

Raised by `client`; handlers let them pass, except where a refusal is an answer (`NotFound`: it is
gone or hidden; `NoTransition`: the workflow does not go there).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from libs.common.errors import AgentError, Permanent, Temporary, cut
from libs.common.git.errors import scrub
from libs.common.jira.server import JiraServer

LONGEST_DELAY = 300.0
"""Seconds; no header makes us wait longer before we look again."""
TOKEN_DELAY = 60.0
PEER = "jira"


class JiraError(AgentError):
    """Root of this door's errors; `status` is the HTTP status when there was one."""

    status: int | None = None


class _Refused(JiraError, Permanent):
    def __init__(self, reason: str, *, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


class NotFound(_Refused):
    """Jira says that it is not there, or not for us (it never says which)."""


class Forbidden(_Refused):
    """The token's user may not do that here."""


class Conflict(_Refused):
    """It changed meanwhile; looking again shows to what."""


class Invalid(_Refused):
    """Jira does not take what we sent."""


class NoTransition(Invalid):
    """The issue's workflow does not lead from where it is to the status wanted, or not for us."""


class _Away(JiraError, Temporary):
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
    """Too many requests; `delay` is what Jira asked for, within bounds."""


class Unavailable(_Away):
    """Jira is away, or something else answered in its place."""


class TimedOut(_Away):
    """No answer in time."""


class Unauthorized(_Away):
    """The token is wrong or expired: an operator can heal that, so work waits."""


_KINDS: dict[int, type[_Refused]] = {403: Forbidden, 404: NotFound, 409: Conflict}


def refusal(
    status: int, headers: Mapping[str, str], body: bytes, *, server: JiraServer, now: float
) -> JiraError:
    """The error for an answer that is not 2xx. Pure; header names in lower case.

    Jira explains itself in JSON (`errorMessages`, `errors`); a refusal in HTML comes from a proxy
    or a login page, and says nothing about the issue. A wrong token is 401 with any body.
    """
    said = _message(body)
    if said is not None:
        said = scrub(said, server.secrets)
    text = cut(f"Jira answered {status}: {said or 'no reason in JSON; is JIRA_URL right?'}")
    if status == 429:
        why = headers.get("ratelimit-reason", "")
        told = cut(f"{text} ({scrub(why, server.secrets)})") if why else text
        return RateLimited(told, delay=rate_limit_delay(headers, now), status=status)
    if status == 401 or login_failed(headers):
        reason = cut(f"Jira refused the login of {server.token_setting}: {said or status}")
        return Unauthorized(reason, delay=TOKEN_DELAY, status=status)
    if 300 <= status < 400:
        text = f"Jira answered {status}, a redirect, which is not followed; check JIRA_URL"
        return Unavailable(text, delay=TOKEN_DELAY, status=status)
    if status >= 500 or status in {408, 425} or said is None:
        wait = retry_after(headers, now)
        return Unavailable(text, delay=15.0 if wait is None else wait, status=status)
    return _KINDS.get(status, Invalid)(text, status=status)


def login_failed(headers: Mapping[str, str]) -> bool:
    """Whether Jira took the request for an anonymous one because the login was wrong.

    Seen with expired API tokens on Cloud, also with 200 and an empty list (jira.js#418).
    """
    reason = headers.get("x-seraph-loginreason", "").upper()
    return "AUTHENTICATED_FAILED" in reason or "AUTHENTICATION_DENIED" in reason


def rate_limit_delay(headers: Mapping[str, str], now: float) -> float:
    """Seconds to wait after a 429: Retry-After, else X-RateLimit-Reset, else half a minute."""
    wait = retry_after(headers, now)
    if wait is not None:
        return wait
    try:
        reset = datetime.fromisoformat(headers.get("x-ratelimit-reset", ""))
        return _bounded(reset.timestamp() - now)
    except (ValueError, OverflowError):
        return 30.0


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds of a Retry-After header, given as seconds or as a date; None without one."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdecimal():
        return _bounded(float(value))
    try:
        return _bounded(parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 1.0), LONGEST_DELAY)


def _message(body: bytes) -> str | None:
    """Jira's reasons in one line; None when the body is no JSON object."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    listed = answer.get("errorMessages")
    spoken = [str(text) for text in listed] if isinstance(listed, list) else []
    named = answer.get("errors")
    if isinstance(named, dict):
        spoken += [f"{name}: {text}" for name, text in named.items()]
    spoken += [str(answer[name]) for name in ("message", "error") if _given(answer.get(name))]
    return " ".join(spoken)


def _given(value: Any) -> bool:
    return isinstance(value, str) and bool(value)
