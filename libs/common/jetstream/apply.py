"""Makes JetStream match the topology: create or update in full, never read-modify-write.

Called by `gca topology apply`, `gca topology diff`, `gca up` and the tests.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import msgspec

from libs.common.errors import Permanent, Temporary
from libs.common.jetstream.answers import NO_CONSUMER, NO_STREAM, Refused
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.topology import Durable, Stream, Topology

_ATTEMPTS = 5
"""A fresh server or cluster may refuse for some seconds until it has elected its leader."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that differs from the topology; `fields` are lines like `max_age: 1 -> 2`."""

    action: Literal["create", "update"]
    kind: Literal["stream", "durable"]
    name: str
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.action} {self.kind} {self.name}" + "".join(f"\n  {f}" for f in self.fields)


class _Wanted(msgspec.Struct, frozen=True):
    """How one thing is looked up, created and updated."""

    kind: Literal["stream", "durable"]
    name: str
    info: str
    create: str
    update: str
    config: dict[str, Any]
    request: dict[str, Any]


async def diff(
    connection: Connection, topology: Topology, *, replicas: int | None = None
) -> list[Change]:
    """What `apply` would change, without changing it; raises `Temporary`."""
    copies = replicas or _copies(connection)
    found = [await _difference(connection, wanted) for wanted in _all(topology, copies)]
    return [change for change in found if change is not None]


async def apply(
    connection: Connection, topology: Topology, *, replicas: int | None = None
) -> list[Change]:
    """Create and update what differs and say what that was; a second call changes nothing.

    Without `replicas` there are three copies of each stream on a cluster of servers, else one.
    Raises `Permanent` with the reason when the server cannot change something that exists,
    `Temporary` when JetStream is away.
    """
    done = []
    for wanted in _all(topology, replicas or _copies(connection)):
        change = await _patiently(connection, wanted)
        if change is not None:
            done.append(change)
    return done


def _copies(connection: Connection) -> int:
    return 3 if connection.is_clustered else 1


def changed_fields(wanted: dict[str, Any], found: dict[str, Any]) -> tuple[str, ...]:
    """Lines for the declared fields that differ; the server leaves out what is false or 0."""
    return tuple(
        f"{field}: {found.get(field, type(value)())!r} -> {value!r}"
        for field, value in wanted.items()
        if found.get(field, type(value)()) != value
    )


async def _patiently(connection: Connection, wanted: _Wanted) -> Change | None:
    for attempt in range(_ATTEMPTS):
        try:
            return await _ensure(connection, wanted)
        except Temporary:
            if attempt == _ATTEMPTS - 1:
                raise
            await asyncio.sleep(0.5 * 2**attempt)
    return None


async def _ensure(connection: Connection, wanted: _Wanted) -> Change | None:
    change = await _difference(connection, wanted)
    if change is None:
        return None
    call = wanted.create if change.action == "create" else wanted.update
    try:
        await connection.api(call, wanted.request)
    except Refused as error:
        listed = ", ".join(change.fields) or "as declared"
        raise Permanent(
            f"NATS cannot {change.action} the {wanted.kind} {wanted.name} ({listed}): "
            f"{error.words}. Nothing of it was changed; either keep the old value, or move its "
            "data away and remove it by hand."
        ) from error
    return change


async def _difference(connection: Connection, wanted: _Wanted) -> Change | None:
    try:
        found = (await connection.api(wanted.info))["config"]
    except Refused as error:
        if error.number not in (NO_STREAM, NO_CONSUMER):
            raise
        return Change(action="create", kind=wanted.kind, name=wanted.name)
    fields = changed_fields(wanted.config, found)
    if not fields:
        return None
    return Change(action="update", kind=wanted.kind, name=wanted.name, fields=fields)


def _all(topology: Topology, replicas: int) -> list[_Wanted]:
    return [
        *(_stream(stream, replicas) for stream in topology.streams),
        *(_durable(durable) for durable in topology.durables),
    ]


def _stream(stream: Stream, replicas: int) -> _Wanted:
    name, config = stream.name, stream.config(replicas)
    calls = (f"STREAM.INFO.{name}", f"STREAM.CREATE.{name}", f"STREAM.UPDATE.{name}")
    return _Wanted("stream", name, *calls, config, config)


def _durable(durable: Durable) -> _Wanted:
    path = f"{durable.stream}.{durable.name}"
    create = f"CONSUMER.CREATE.{path}"
    config = durable.config()
    request = {"stream_name": durable.stream, "config": config}
    return _Wanted(
        "durable", durable.name, f"CONSUMER.INFO.{path}", create, create, config, request
    )
