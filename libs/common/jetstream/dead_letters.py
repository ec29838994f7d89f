"""Dead letters: messages nobody could handle, kept whole with the reason.

Written by `libs.common.jetstream.consumer` only; `gca dead-letters` lists and puts back.
"""

from __future__ import annotations

import msgspec

from libs.common.errors import Permanent, cut
from libs.common.events.envelope import MESSAGE_ID
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.reading import Stored
from libs.common.jetstream.topology import DEAD_LETTERS

REASON = "gca-dead-reason"
ATTEMPTS = "gca-dead-attempts"
DURABLE = "gca-dead-durable"
STREAM = "gca-dead-stream"
SEQ = "gca-dead-seq"
TOO_LARGE = "gca-dead-body-left-out"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """The message as the stream held it, who gave up on it, why, and after how many deliveries."""

    stored: Stored
    stream: str
    service: str
    reason: str
    attempts: int


class DeadLetters:
    """The stream DEAD_LETTERS; raises `Temporary` (peer `nats`), also when it is full."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, letter: DeadLetter) -> None:
        """Keep it under `dead.<service>.<original subject>`; the same letter again is a no-op."""
        subject = f"dead.{letter.service}.{letter.stored.subject}"
        headers = _headers(letter)
        try:
            await self._connection.publish(subject, letter.stored.body, headers=headers)
        except Permanent:
            # Larger than we may send, so not one of ours: the original is still in its stream.
            await self._connection.publish(subject, b"", headers={**headers, TOO_LARGE: "1"})


def _headers(letter: DeadLetter) -> dict[str, str]:
    original = letter.stored.headers
    # What is addressed to the server (expected sequences, ttl) held for the first writing only.
    kept = {name: value for name, value in original.items() if not name.startswith("Nats-")}
    return kept | {
        "Nats-Expected-Stream": DEAD_LETTERS,
        MESSAGE_ID: f"dead-{letter.stream}-{letter.stored.seq}-{letter.service}",
        REASON: cut(letter.reason),
        ATTEMPTS: str(letter.attempts),
        DURABLE: letter.service,
        STREAM: letter.stream,
        SEQ: str(letter.stored.seq),
    }
