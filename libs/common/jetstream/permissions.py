"""What each NATS user may publish and hear: exactly what its service does, as data (SR-17).

`python -m documents` writes it to `charts/nats/files/permissions.json`, from which the chart makes
the users of its server; the tests run the whole system on it. Whoever adds a call of NATS to a
service adds it here. Nobody may remove a stream or a consumer, not even `topology`.

Wildcards end where tokens do, so keys that two services write, and subjects that end in a task
id, are as narrow as they can be.
"""

from __future__ import annotations

from typing import Any

import msgspec

from libs.common import subjects
from libs.common.jetstream.topology import (
    ARTIFACTS,
    DEAD_LETTERS,
    DEDUP,
    DURABLES,
    EVENTS,
    LOCKS,
    WATERMARKS,
    Topology,
    topology,
)

_STORE = f"OBJ_{ARTIFACTS}"
_DURABLES = tuple(durable.name for durable in DURABLES)


class User(msgspec.Struct, frozen=True, kw_only=True):
    """One login: the subjects it may publish, and those it may subscribe to.

    `clients` are the names under which its processes connect; each has an inbox of that name.
    """

    name: str
    publish: tuple[str, ...]
    clients: tuple[str, ...]
    subscribe: tuple[str, ...] = ()

    def allowed(self) -> dict[str, Any]:
        """As nats-server's configuration has it (authorization, permissions)."""
        inboxes = tuple(f"{inbox(client)}.>" for client in self.clients)
        return {
            "publish": {"allow": sorted(self.publish)},
            "subscribe": {"allow": sorted((*inboxes, *self.subscribe))},
        }


def inbox(client: str) -> str:
    """Where answers to this client go; a common prefix would let each hear all others' answers."""
    return f"_INBOX_{client}"


def _read(*streams: str) -> tuple[str, ...]:
    """Messages of a stream: the leader's last, and batches."""
    calls = ("STREAM.MSG.GET", "DIRECT.GET")
    return tuple(f"$JS.API.{call}.{stream}" for stream in streams for call in calls)


def _last(*buckets: str) -> tuple[str, ...]:
    """Keys of a bucket, one by one."""
    return tuple(f"$JS.API.STREAM.MSG.GET.KV_{bucket}" for bucket in buckets)


def _info(*streams: str) -> tuple[str, ...]:
    """A stream's state and the names of its subjects."""
    return tuple(f"$JS.API.STREAM.INFO.{stream}" for stream in streams)


def _write(bucket: str, *keys: str) -> tuple[str, ...]:
    return tuple(f"$KV.{bucket}.{key}" for key in keys)


def _consume(durable: str) -> tuple[str, ...]:
    """Pull, settle, bury, and count what was given back in order."""
    return (
        f"$JS.API.CONSUMER.MSG.NEXT.{EVENTS}.{durable}",
        f"$JS.API.CONSUMER.INFO.{EVENTS}.{durable}",
        f"$JS.ACK.{EVENTS}.{durable}.>",
        f"dead.{durable}.>",
        *_write(DEDUP, f"starts.{durable}.*"),
    )


_HISTORY = (*_read(EVENTS, _STORE), *_info(EVENTS))
"""Events, with the large bodies among them."""
_PUT = (f"$O.{ARTIFACTS}.C.*", f"$O.{ARTIFACTS}.M.*")


def _ingest() -> User:
    return User(
        name="ingest",
        clients=("ingest",),
        publish=(
            *subjects.ALL_FACTS,
            "task.result.>",
            *_HISTORY,
            *_PUT,
            *_last(LOCKS, WATERMARKS),
            *_info(f"KV_{WATERMARKS}"),
            *_write(LOCKS, "poll.*"),
            *_write(WATERMARKS, "gitlab.*", "hooks.*"),
        ),
    )


def _launching(name: str) -> User:
    """The reviewer and the coder: both ask for tasks, count them, and run their Jobs.

    Purging artifacts is what the sweeper does; the server tells no purge of one from that of all.
    """
    return User(
        name=name,
        clients=(name,),
        publish=(
            "task.requested.>",
            "task.result.>",
            *_consume(name),
            *_HISTORY,
            *_PUT,
            *_info(_STORE, f"KV_{LOCKS}"),
            *_read(DEAD_LETTERS),
            f"$JS.API.STREAM.PURGE.{_STORE}",
            *_last(DEDUP, LOCKS),
            *_write(DEDUP, "launches.*", "turn.*", "spent.>"),
            *_write(LOCKS, "slot.*"),
        ),
        subscribe=_write(LOCKS, "slot.*"),
    )


def _publisher() -> User:
    """It puts no artifacts: its events are ids, urls and short words, however long a review is."""
    return User(
        name="publisher",
        clients=("publisher",),
        publish=(
            "task.published.>",
            *_consume("publisher"),
            *_HISTORY,
            f"$JS.API.DIRECT.GET.{DEAD_LETTERS}",
            *_last(DEDUP, LOCKS, WATERMARKS),
            *_write(DEDUP, "reviewed.*.*"),
            *_write(LOCKS, "publish.*.*"),
            *_write(WATERMARKS, "letters.told"),
        ),
    )


def _topology(declared: Topology) -> User:
    """`gca topology apply`: makes and changes what is declared, by name."""
    streams = [stream.name for stream in declared.streams]
    durables = [f"{durable.stream}.{durable.name}" for durable in declared.durables]
    return User(
        name="topology",
        clients=("gca-topology",),
        publish=(
            *(f"$JS.API.STREAM.{what}.{name}" for name in streams for what in _MAKE),
            *(f"$JS.API.CONSUMER.{what}.{name}" for name in durables for what in _MAKE[:2]),
        ),
    )


_MAKE = ("INFO", "CREATE", "UPDATE")


def _ops(declared: Topology) -> User:
    """`gca` but for `topology apply`: reads all, replays, forgets, has the dead letters, echoes."""
    streams = [stream.name for stream in declared.streams]
    return User(
        name="ops",
        clients=("gca", "gca-doctor"),
        publish=(
            *_info(*streams),
            *_read(*streams),
            *(f"$JS.API.CONSUMER.INFO.{EVENTS}.{durable}" for durable in _DURABLES),
            *subjects.ALL_FACTS,
            *(f"retry.{durable}.>" for durable in _DURABLES),
            f"task.requested.{'.'.join(subjects.DOCTOR)}.*",
            *(f"$JS.API.STREAM.PURGE.{name}" for name in (EVENTS, DEAD_LETTERS, _STORE)),
            *_write(DEDUP, "letter.*.*"),
        ),
    )


def users(declared: Topology | None = None) -> tuple[User, ...]:
    """All users of a server for `declared`, by default for what this version needs."""
    wanted = declared or topology()
    return (
        _ingest(),
        _launching("reviewer"),
        _launching("coder"),
        _publisher(),
        _topology(wanted),
        _ops(wanted),
    )


NAMES = ("ingest", "reviewer", "coder", "publisher", "topology", "ops")
"""Of every user, in the order of `users`."""


def document() -> dict[str, Any]:
    """Permissions by user, for `charts/nats/files/permissions.json`."""
    return {user.name: user.allowed() for user in users()}
