"""Streams, buckets and durables as data: all that must exist in JetStream before a service starts.

Read by `libs.common.jetstream.apply` (`gca topology apply`, the Helm hook, `gca up`).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from libs.common.subjects import STREAM_SUBJECTS

EVENTS = "EVENTS"
DEAD_LETTERS = "DEAD_LETTERS"
DEDUP = "DEDUP"
LOCKS = "LOCKS"
WATERMARKS = "WATERMARKS"
ARTIFACTS = "ARTIFACTS"

ACK_WAIT = 20
MAX_ACK_PENDING = 1000
DEFAULT_MAX_BYTES = 2 * 1024**3
_HOUR = 3600
_DAY = 24 * _HOUR


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """A stream in full. Times are seconds, 0 or -1 means without limit.

    Always file storage and retention by limits: the log must be readable after it was consumed.
    `deny_delete` forbids taking out single messages; purging by subject stays possible, it is how
    a project is forgotten (SR-42). The server never takes `deny_delete` back.
    """

    name: str
    subjects: tuple[str, ...]
    max_age: int = 0
    max_bytes: int = -1
    max_msgs_per_subject: int = -1
    duplicate_window: int = 120
    discard: Literal["new", "old"] = "new"
    allow_rollup: bool = False
    allow_msg_ttl: bool = False
    deny_delete: bool = True

    def config(self, replicas: int) -> dict[str, Any]:
        """The server's own names for all of it (JetStream API, StreamConfig; times in ns)."""
        return {
            "name": self.name,
            "subjects": list(self.subjects),
            "retention": "limits",
            "storage": "file",
            "num_replicas": replicas,
            "max_age": self.max_age * 10**9,
            "max_bytes": self.max_bytes,
            "max_msgs": -1,
            "max_msg_size": -1,
            "max_consumers": -1,
            "max_msgs_per_subject": self.max_msgs_per_subject,
            "duplicate_window": self.duplicate_window * 10**9,
            "discard": self.discard,
            "allow_direct": True,
            "allow_rollup_hdrs": self.allow_rollup,
            "allow_msg_ttl": self.allow_msg_ttl,
            "deny_delete": self.deny_delete,
            "deny_purge": False,
        }


class Durable(msgspec.Struct, frozen=True, kw_only=True):
    """A durable pull consumer. Counting deliveries and giving up is done by our own loop.

    So `max_deliver` is unlimited and there is no `backoff`, which would bend delayed naks.
    """

    name: str
    filters: tuple[str, ...]
    stream: str = EVENTS
    ack_wait: int = ACK_WAIT

    def config(self) -> dict[str, Any]:
        """The server's own names for all of it (JetStream API, ConsumerConfig)."""
        return {
            "name": self.name,
            "durable_name": self.name,
            "filter_subjects": list(self.filters),
            "ack_policy": "explicit",
            "ack_wait": self.ack_wait * 10**9,
            "deliver_policy": "all",
            "replay_policy": "instant",
            "max_deliver": -1,
            "max_ack_pending": MAX_ACK_PENDING,
            "num_replicas": 0,
        }


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """Everything, in the order in which it is created."""

    streams: tuple[Stream, ...]
    durables: tuple[Durable, ...]


def bucket(name: str) -> Stream:
    """A key-value bucket as nats calls it: one message per key, with a ttl when the key has one.

    No limit markers: nats clients take an expired key for an existing one when they are on.
    """
    return Stream(
        name=f"KV_{name}",
        subjects=(f"$KV.{name}.>",),
        max_msgs_per_subject=1,
        allow_rollup=True,
        allow_msg_ttl=True,
    )


def object_store(name: str, *, ttl: int, max_bytes: int) -> Stream:
    """An object store as nats calls it."""
    return Stream(
        name=f"OBJ_{name}",
        subjects=(f"$O.{name}.C.>", f"$O.{name}.M.>"),
        max_age=ttl,
        max_bytes=max_bytes,
        allow_rollup=True,
        deny_delete=False,
    )


DURABLES = (
    Durable(
        name="reviewer",
        filters=(
            "mr.opened.>",
            "mr.closed.>",
            "note.command.>",
            # Its own requests wake it by themselves; those of `gca doctor` come from outside.
            "task.requested.doctor.>",
            "task.result.>",
            "task.published.>",
            "retry.reviewer.>",
        ),
    ),
    Durable(
        name="coder",
        filters=(
            "mr.closed.>",
            "note.command.>",
            "jira.ready.>",
            "task.result.>",
            "task.published.>",
            "retry.coder.>",
        ),
    ),
    Durable(
        name="publisher",
        filters=("task.requested.>", "task.result.>", "retry.publisher.>"),
    ),
)


def topology(
    *, max_bytes: int = DEFAULT_MAX_BYTES, durables: tuple[Durable, ...] = DURABLES
) -> Topology:
    """What this system needs; `max_bytes` bounds the log, and the artifacts by as much again."""
    log = Stream(
        name=EVENTS,
        subjects=STREAM_SUBJECTS,
        max_age=30 * _DAY,
        max_bytes=max_bytes,
        duplicate_window=24 * _HOUR,
    )
    dead = Stream(
        name=DEAD_LETTERS,
        subjects=("dead.>",),
        max_age=90 * _DAY,
        max_bytes=max(max_bytes // 8, 1024**2),
        duplicate_window=24 * _HOUR,
    )
    artifacts = object_store(ARTIFACTS, ttl=31 * _DAY, max_bytes=max_bytes)
    buckets = (bucket(DEDUP), bucket(LOCKS), bucket(WATERMARKS))
    return Topology(streams=(log, dead, *buckets, artifacts), durables=durables)
