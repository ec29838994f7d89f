"""The one connection of a process to NATS, and the safe ways to ask and to publish over it.

Opened by `connecting`; used by everything in this folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from libs.common.errors import Permanent, Temporary, cut
from libs.common.jetstream.answers import (
    NO_STREAM,
    WRONG_LAST_SEQUENCE,
    Refused,
    away,
    read_answer,
    translated,
)
from libs.common.jetstream.permissions import inbox
from libs.common.jetstream.versions import too_old

TIMEOUT = 5.0
HEADROOM = 16 * 1024
"""Kept free below max_payload: the server counts headers too, and cuts whoever goes over."""
_REMEMBERED = 64
_UNHEARD_TIMES, _UNHEARD_SECONDS = 2, 0.25


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """JetStream's word that a message is stored."""

    stream: str
    seq: int
    duplicate: bool = False


class Connection:
    """A connection that comes back by itself until its client closes for good.

    Publishing during an outage fails at once: nothing is kept in the client to surprise anybody
    later, the caller's retry (same message id) is the only one. Raises `Temporary` (peer `nats`).
    `patience` is how many seconds an answer may take.
    """

    def __init__(self, client: Client, name: str, patience: float = TIMEOUT) -> None:
        self.name = name
        self.patience = patience
        self._client = client
        self._next_reconnect = asyncio.Event()
        self._asked: deque[str] = deque(maxlen=_REMEMBERED)
        self._forbidden: set[str] = set()

    @property
    def is_up(self) -> bool:
        return bool(self._client.is_connected)

    @property
    def is_clustered(self) -> bool:
        """Whether the server is one of several."""
        return bool(self._told.get("cluster"))

    @property
    def too_old(self) -> str | None:
        """What is wrong with the server's version; None when it will do."""
        return too_old(str(self._told.get("version", "")))

    @property
    def lacks_tls(self) -> bool:
        """Whether the address says `tls://` and the server did not: the client would go on."""
        server = self._client.connected_url
        return server is not None and server.scheme == "tls" and not self._told.get("tls_required")

    async def trouble(self) -> str | None:
        """What keeps it from working, as a readiness check says it; None when all is well."""
        return None if self.is_up else "disconnected from NATS (NATS_URL)"

    @property
    def _told(self) -> Mapping[str, Any]:
        """The greeting of the server that we are connected to."""
        told: Mapping[str, Any] = self._client._server_info  # noqa: SLF001  # the client keeps it to itself
        return told

    @property
    def next_reconnect(self) -> asyncio.Event:
        """Set at the next reconnect; requests that wait on the server died with the old socket."""
        return self._next_reconnect

    def reconnected(self) -> None:
        done, self._next_reconnect = self._next_reconnect, asyncio.Event()
        self._forbidden.clear()
        done.set()

    def forbidden(self, told: str) -> str:
        """The server refuses this subject, as it was sent; the client tells it in small letters.

        The call itself hears nothing and waits; it is told when its patience is over.
        """
        self._forbidden.add(told.lower())
        return next((sent for sent in self._asked if sent.lower() == told.lower()), told)

    async def request(
        self,
        subject: str,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Msg:
        self._guard(body, headers)
        self._asked.append(subject)
        try:
            with translated(f"asking {cut(subject)}"), _every_cancel_counts():
                return await self._heard(subject, body, dict(headers) if headers else None)
        except Temporary as error:
            problem = self._refusal(subject)
            if problem is None:
                raise
            raise away(problem) from error

    async def _heard(self, subject: str, body: bytes, headers: dict[str, str] | None) -> Msg:
        """The answer; asked again when nobody listens, for which the server vouches.

        One of several servers hears a moment late that a stream was made, or has another leader.
        Rule: nats.go's DefaultPubRetryAttempts (2) and DefaultPubRetryWait (250 ms).
        """
        for _ in range(_UNHEARD_TIMES):
            with contextlib.suppress(nats.errors.NoRespondersError):
                return await self._client.request(
                    subject, body, timeout=self.patience, headers=headers
                )
            await asyncio.sleep(_UNHEARD_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311  # jitter
        return await self._client.request(subject, body, timeout=self.patience, headers=headers)

    async def api(self, call: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One call of the JetStream API; raises `Refused` with the server's words."""
        asked = msgspec.json.encode(body) if body is not None else b""
        return read_answer((await self.request(f"$JS.API.{call}", asked)).data)

    async def read(self, call: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One reading call; a stream that is not there (yet) is `Temporary`."""
        try:
            return await self.api(call, body)
        except Refused as error:
            if error.number == NO_STREAM:
                raise away(f"{error}; was `gca topology apply` run?") from error
            raise

    async def publish(
        self, subject: str, body: bytes, *, headers: Mapping[str, str] | None = None
    ) -> Ack:
        """Store a message; returns when it is on disk.

        Raises `Refused` when the sequence that the headers expect is not the last, and
        `Temporary` for any other refusal: it is about the stream, not about the message.
        """
        reply = await self.request(subject, body, headers=headers)
        try:
            return msgspec.convert(read_answer(reply.data), Ack)
        except Refused as error:
            if error.number in WRONG_LAST_SEQUENCE:
                raise
            raise away(str(error)) from error
        except msgspec.ValidationError as error:
            raise away(f"NATS acknowledged {cut(subject)} in a way we cannot read") from error

    async def send(self, subject: str, body: bytes = b"", *, reply: str = "") -> None:
        """Publish without an acknowledgement."""
        self._asked.append(subject)
        with translated(f"sending to {cut(subject)}"):
            await self._client.publish(subject, body, reply=reply)

    def inbox(self) -> str:
        return str(self._client.new_inbox())

    async def subscribe(
        self, subject: str, on_message: Callable[[Msg], Awaitable[None]]
    ) -> Subscription:
        self._asked.append(subject)
        with translated(f"subscribing to {cut(subject)}"):
            return await self._client.subscribe(subject, cb=on_message)

    async def flush(self) -> None:
        with translated("flushing"):
            await self._client.flush(timeout=5)

    def _refusal(self, subject: str) -> str | None:
        """Why a call stayed without an answer, when the server forbade it or our inbox."""
        if subject.lower() in self._forbidden:
            return not_allowed(self.name, "publish", subject)
        own = f"{inbox(self.name)}.".lower()
        if any(name.startswith(own) for name in self._forbidden):
            return not_allowed(self.name, "subscription", f"{inbox(self.name)}.>")
        return None

    def _guard(self, body: bytes, headers: Mapping[str, str] | None) -> None:
        size = len(body) + sum(len(k) + 4 * len(v) for k, v in (headers or {}).items())
        if size > self._client.max_payload - HEADROOM:
            raise Permanent(
                f"the message has {size} bytes, {self._client.max_payload - HEADROOM} are allowed"
            )


@contextlib.contextmanager
def _every_cancel_counts() -> Iterator[None]:
    """Cancels the caller also when the answer came in the same moment.

    The client waits by `asyncio.wait_for`, which before Python 3.12 swallows such a cancellation:
    a loop that was told to end, and that nobody tells twice, would go on for ever.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError


def not_allowed(name: str, what: str, subject: str) -> str:
    """What a person reads when the user of `name` lacks a permission; pure."""
    doing = "publish" if what.lower() == "publish" else "subscribe"
    return (
        f"NATS does not let {name} {doing} to {cut(subject)} (NATS_CREDENTIALS): is it {name}'s "
        "own user, and are the server's permissions those of this version?"
    )
