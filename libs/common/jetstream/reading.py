"""Reading a stream without a consumer: direct gets in batches, the leader's last, subject names.

Used by the event log, the key-value buckets and the artifacts. Formats: nats-architecture ADR-31
(direct get, batch and multi_last) and the JetStream API's STREAM.MSG.GET and STREAM.INFO.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from nats.aio.msg import Msg

from libs.common.jetstream.answers import NO_MESSAGE, Refused, away
from libs.common.jetstream.connection import Connection

SUBJECTS_AT_ONCE = 500
"""Exact subjects asked for in one request; the server answers at most 1,024 per request."""
_AT_ONCE = 256
_BYTES_AT_ONCE = 16 * 1024 * 1024
_TOO_MANY = "413"
_FRACTION = re.compile(r"(\.\d{6})\d+")


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """One message as the stream holds it."""

    subject: str
    seq: int
    time: datetime
    headers: dict[str, str]
    body: bytes


class TooMany(Exception):
    """The filters match more subjects than the server puts into one answer."""


async def last(connection: Connection, stream: str, subject: str) -> Stored | None:
    """The newest message of one subject, from the stream's leader, so never a stale one."""
    return await _one(connection, stream, {"last_by_subj": subject})


async def at(connection: Connection, stream: str, seq: int) -> Stored | None:
    """The message at this place, from the stream's leader; None when it is gone."""
    return await _one(connection, stream, {"seq": seq})


async def _one(connection: Connection, stream: str, asked: Mapping[str, Any]) -> Stored | None:
    try:
        answer = await connection.read(f"STREAM.MSG.GET.{stream}", asked)
    except Refused as error:
        if error.number == NO_MESSAGE:
            return None
        raise
    found = answer["message"]
    return Stored(
        subject=found["subject"],
        seq=found["seq"],
        time=read_time(found["time"]),
        headers=read_headers(base64.b64decode(found.get("hdrs", ""))),
        body=base64.b64decode(found.get("data", "")),
    )


async def last_per_subject(
    connection: Connection, stream: str, filters: Sequence[str]
) -> list[Stored]:
    """The newest message of every subject that matches, oldest first."""
    try:
        found = await pages(connection, stream, {"multi_last": list(filters)})
    except TooMany:
        names = sorted(await subjects(connection, stream, filters))
        found = []
        for some in _chunks(names, SUBJECTS_AT_ONCE):
            found += await pages(connection, stream, {"multi_last": some})
    return sorted(found, key=lambda stored: stored.seq)


async def subjects(connection: Connection, stream: str, filters: Sequence[str]) -> set[str]:
    """Names of the subjects that match any filter; the server gives 100,000 at a time."""
    names: set[str] = set()
    for wanted in filters:
        offset = 0
        while True:
            asked = {"subjects_filter": wanted, "offset": offset}
            answer = await connection.read(f"STREAM.INFO.{stream}", asked)
            some = answer["state"].get("subjects") or {}
            names.update(some)
            offset += len(some)
            if not some or offset >= answer.get("total", 0):
                break
    return names


async def pages(connection: Connection, stream: str, asked: Mapping[str, Any]) -> list[Stored]:
    """All messages of a batched direct get; raises `TooMany`, `Temporary`."""
    found: list[Stored] = []
    request = {**asked, "max_bytes": _BYTES_AT_ONCE}
    while True:
        replies = await _page(connection, stream, request)
        end = replies[-1].headers or {}
        found += [_direct(reply) for reply in replies[:-1]]
        if int(end.get("Nats-Num-Pending", "0")) == 0:
            return found
        request["seq"] = int(end["Nats-Last-Sequence"]) + 1
        if "Nats-UpTo-Sequence" in end:
            request["up_to_seq"] = int(end["Nats-UpTo-Sequence"])


async def batch(connection: Connection, stream: str, asked: Mapping[str, Any]) -> list[Stored]:
    """One batch of a direct get, for reading much of a stream piece by piece; empty at the end."""
    replies = await _page(connection, stream, {**asked, "max_bytes": _BYTES_AT_ONCE})
    return [_direct(reply) for reply in replies[:-1]]


async def scan(
    connection: Connection, stream: str, subject: str = ">", since: datetime | None = None
) -> AsyncIterator[Stored]:
    """Every message whose subject matches, oldest first; a batch at a time in memory."""
    asked: dict[str, Any] = {"start_time": since.isoformat()} if since else {"seq": 1}
    while True:
        asked |= {"next_by_subj": subject, "batch": _AT_ONCE}
        some = await batch(connection, stream, asked)
        for stored in some:
            yield stored
        if not some:
            return
        asked = {"seq": some[-1].seq + 1}


async def _page(connection: Connection, stream: str, request: Mapping[str, Any]) -> list[Msg]:
    """One batch; the last reply is the status that ended it."""
    replies: asyncio.Queue[Msg] = asyncio.Queue()
    inbox = connection.inbox()
    subscription = await connection.subscribe(inbox, replies.put)
    found: list[Msg] = []
    try:
        await connection.send(
            f"$JS.API.DIRECT.GET.{stream}", msgspec.json.encode(request), reply=inbox
        )
        while True:
            # The time-out is for silence, not for the whole: large pages take their time.
            async with asyncio.timeout(connection.patience):
                found.append(await replies.get())
            status = (found[-1].headers or {}).get("Status")
            if status is not None:
                _check(status, found[-1], stream)
                return found
    except TimeoutError:
        raise away(f"reading {stream}: NATS fell silent") from None
    finally:
        await _forget(subscription)


def _check(status: str, reply: Msg, stream: str) -> None:
    if status == _TOO_MANY:
        raise TooMany
    if status == "503":
        raise away(f"reading {stream}: nobody answers; was `gca topology apply` run?")
    if status not in ("204", "404"):
        words = (reply.headers or {}).get("Description", "")
        raise Refused(int(status), 0, f"reading {stream}: {words}")


async def _forget(subscription: Any) -> None:
    # When the socket is gone, the subscription went with it.
    with contextlib.suppress(Exception):
        await subscription.unsubscribe()


def _direct(reply: Msg) -> Stored:
    found = dict(reply.headers or {})
    try:
        return Stored(
            subject=found.pop("Nats-Subject"),
            seq=int(found.pop("Nats-Sequence")),
            time=read_time(found.pop("Nats-Time-Stamp")),
            headers=found,
            body=reply.data,
        )
    except (KeyError, ValueError) as error:
        raise away("NATS answered a direct get with what is no stored message") from error


def read_time(text: str) -> datetime:
    """The server's RFC 3339 time; its nanoseconds are cut to microseconds."""
    return datetime.fromisoformat(_FRACTION.sub(r"\1", text))


def read_headers(block: bytes) -> dict[str, str]:
    """The header block of a stored message: a version line, then `Name: value` lines."""
    lines = block.decode("utf-8", "replace").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _chunks(names: list[str], size: int) -> Iterator[list[str]]:
    return (names[start : start + size] for start in range(0, len(names), size))
