"""What JetStream answers, and what its refusals mean to us.

Used by everything in this folder that asks the server.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import msgspec
import nats.errors

from libs.common.errors import AgentError, Permanent, Temporary, cut

WRONG_LAST_SEQUENCE = (10071, 10164)
NO_MESSAGE = 10037
NO_STREAM = 10059
NO_CONSUMER = 10014
_WILL_PASS = (408, 429, 503)
"""Not 500: that is what a change of a stream is refused with."""
_STORE_FAILED = 10077
"""Sent with 503 when discard=new refuses, so it must not be taken for an outage."""


class Refused(AgentError):
    """JetStream said no: `code` like HTTP, `number` its own err_code (nats-server errors.json)."""

    def __init__(self, code: int, number: int, words: str) -> None:
        super().__init__(f"JetStream refused: {cut(words)} ({number})")
        self.code = code
        self.number = number
        self.words = cut(words)


def away(reason: str, *, delay: float = 5.0) -> Temporary:
    return Temporary(reason, delay=delay, peer="nats")


def read_answer(body: bytes) -> dict[str, Any]:
    """The answer as a mapping; raises `Refused`, or `Temporary` for what will pass."""
    try:
        answer = msgspec.json.decode(body)
    except msgspec.MsgspecError:
        answer = None
    if not isinstance(answer, dict):
        raise away(f"NATS answered what is no JetStream answer: {cut(repr(body[:80]))}")
    error = answer.get("error")
    if error:
        raise _refusal(error)
    return answer


def _refusal(error: dict[str, Any]) -> AgentError:
    code, number = int(error.get("code", 0)), int(error.get("err_code", 0))
    words = str(error.get("description", "no reason given"))
    if number == _STORE_FAILED and "maximum" in words:
        return away(f"The log is full ({cut(words)}): raise its max_bytes or wait for max_age")
    if code in _WILL_PASS:
        return away(f"JetStream is not ready: {cut(words)} ({number})")
    return Refused(code, number, words)


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turns the client's errors into `Temporary` (peer `nats`) or `Permanent`."""
    try:
        yield
    except nats.errors.MaxPayloadError as error:
        raise Permanent(f"{doing}: the message is larger than NATS takes") from error
    except (nats.errors.BadSubjectError, nats.errors.BadHeaderError) as error:
        raise Permanent(f"{doing}: {cut(str(error))}") from error
    except nats.errors.NoRespondersError as error:
        raise away(f"{doing}: nobody answers; is JetStream on and the topology applied?") from error
    except (TimeoutError, nats.errors.TimeoutError) as error:
        raise away(f"{doing}: no answer in time") from error
    except (nats.errors.Error, OSError) as error:
        raise away(f"{doing}: NATS is away ({type(error).__name__})") from error
