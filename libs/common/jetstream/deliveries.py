"""One delivery of a message to a durable, and the pull that keeps them coming.

Used by `libs.common.jetstream.consumer` only. Protocol: JetStream API, CONSUMER.MSG.NEXT
(nats-architecture ADR-13, ADR-37); the client's own fetch sleeps through a server restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog
from nats.aio.msg import Msg

from libs.common.errors import Temporary, cut
from libs.common.jetstream.answers import away
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.reading import Stored

_EXPIRES = 30.0
_HEARTBEAT = 5.0
_SILENCE = 2.5 * _HEARTBEAT
_ORDINARY = ("404", "408")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_log = structlog.get_logger(__name__)


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message in hand: `reply` settles it, `delivered` counts from 1."""

    stored: Stored
    reply: str
    delivered: int


def read_delivery(message: Msg) -> Delivery:
    """What the reply subject tells: `$JS.ACK.[domain.account.]stream.durable.n.seq.n.ns.pending`.

    Raises `Temporary` when it is not of this shape, so no delivery.
    """
    tokens = message.reply.split(".")
    if not message.reply.startswith("$JS.ACK.") or len(tokens) < 9:
        raise away("NATS delivered a message that cannot be acknowledged")
    numbers = tokens[4:8] if len(tokens) == 9 else tokens[6:10]
    try:
        delivered, seq, _, nanoseconds = (int(number) for number in numbers)
    except ValueError:
        raise away("NATS delivered a message without its numbers") from None
    stored = Stored(
        subject=message.subject,
        seq=seq,
        time=_EPOCH + timedelta(microseconds=nanoseconds // 1000),
        headers=dict(message.headers or {}),
        body=message.data,
    )
    return Delivery(stored=stored, reply=message.reply, delivered=delivered)


class Pull:
    """At most one pull request at the server, for exactly as many messages as there is room.

    `changed` is set whenever `outstanding` may have become 0. Messages go to `on_delivery` as
    they come; the pull is asked again after its end, a reconnect, or silence.
    """

    def __init__(
        self,
        connection: Connection,
        stream: str,
        durable: str,
        on_delivery: Callable[[Delivery], None],
    ) -> None:
        self.outstanding = 0
        self.changed = asyncio.Event()
        self._connection = connection
        self._where = f"{stream}.{durable}"
        self._on_delivery = on_delivery
        self._inbox = connection.inbox()
        self._number = 0
        self._heard = 0.0
        self._not_before = 0.0
        self._subscription: Any = None

    async def open(self) -> None:
        self._subscription = await self._connection.subscribe(f"{self._inbox}.*", self._on_message)

    async def ack_wait(self) -> float:
        """Seconds after which the server delivers an unsettled message again."""
        info = await self._connection.api(f"CONSUMER.INFO.{self._where}")
        return float(info["config"]["ack_wait"]) / 10**9

    async def close(self) -> None:
        """No more deliveries; those on the way still reach `on_delivery`."""
        if self._subscription is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(5):
                    await self._subscription.drain()

    async def ask(self, batch: int) -> None:
        """Ask for `batch` messages; does nothing while the last refusal is fresh."""
        if time.monotonic() < self._not_before:
            return
        self._number += 1
        self.outstanding, self._heard = batch, time.monotonic()
        request = {
            "batch": batch,
            "expires": int(_EXPIRES * 10**9),
            "idle_heartbeat": int(_HEARTBEAT * 10**9),
        }
        try:
            await self._connection.send(
                f"$JS.API.CONSUMER.MSG.NEXT.{self._where}",
                msgspec.json.encode(request),
                reply=f"{self._inbox}.{self._number}",
            )
        except Temporary:
            self.outstanding = 0

    def forget(self) -> None:
        """The request is gone at the server, by a reconnect or because it fell silent."""
        self.outstanding = 0

    @property
    def is_silent(self) -> bool:
        return self.outstanding > 0 and time.monotonic() - self._heard > _SILENCE

    async def _on_message(self, message: Msg) -> None:
        self.changed.set()
        status = (message.headers or {}).get("Status")
        if status is not None and not message.reply.startswith("$JS.ACK."):
            self._on_status(status, message)
            return
        self._heard = time.monotonic()
        self.outstanding = max(0, self.outstanding - 1)
        try:
            self._on_delivery(read_delivery(message))
        except Temporary as error:
            _log.warning("left out a delivery", durable=self._where, reason=str(error))

    def _on_status(self, status: str, message: Msg) -> None:
        if message.subject != f"{self._inbox}.{self._number}":
            return  # about a request that was given up
        self._heard = time.monotonic()
        if status == "100":
            return
        self.outstanding = 0
        if status not in _ORDINARY:
            self._not_before = time.monotonic() + random.uniform(0.5, 1.5)  # noqa: S311  # jitter
            words = (message.headers or {}).get("Description", "").strip()
            missing = "nobody answers; was `gca topology apply` run?" if status == "503" else words
            _log.warning("the pull ended", durable=self._where, status=status, reason=cut(missing))
