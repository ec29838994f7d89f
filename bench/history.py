"""Reading the history of one merge request out of a large log, and starting services on it.

The log is filled without syncing each event to disk, which would take minutes; then the server is
started again as `gca up` starts it, and the reads are measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import nats
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from bench.footprint import ready_seconds
from libs.common import subjects
from libs.common.events.envelope import NewEvent, encode, headers
from libs.common.events.facts import MrOpened
from libs.common.events.tasks import (
    DiffRefs,
    ReviewDone,
    TaskPublished,
    TaskRequested,
)
from libs.common.jetstream.apply import apply
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.server import binary, configuration, running_nats
from libs.common.jetstream.topology import DURABLES, EVENTS, topology
from services.ops.ports import free_port
from tests.e2e.system import SERVICES

PROJECT_ID = 42
HEADS = 5
PER_MERGE_REQUEST = 4 * HEADS
IN_FLIGHT = 4000


class Reads(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of each read of one history of `found` events, among `events` in the log."""

    events: int
    found: int
    direct: tuple[float, ...]
    consumer: tuple[float, ...]
    ready: dict[str, tuple[float, ...]]
    """Seconds from the start of each service's process until it is ready."""


async def measure(folder: Path, *, events: int, times: int, starts: int) -> Reads:
    """Reads of the merge request in the middle of the log, then `starts` of each service."""
    iid = events // PER_MERGE_REQUEST // 2
    async with filled_log(folder, events) as url:
        async with connected(url, name="bench", on_closed=lambda: None) as connection:
            log = JetStreamLog(connection)
            await log.history(subjects.history(PROJECT_ID, 1))
            direct, found = [], 0
            for _ in range(times):
                began = time.perf_counter()
                found = len(await log.history(subjects.history(PROJECT_ID, iid)))
                direct.append(time.perf_counter() - began)
            await _all_handled(connection)
        if found != PER_MERGE_REQUEST:
            raise RuntimeError(f"the history has {found} events, not {PER_MERGE_REQUEST}")
        consumer = await _by_consumers(url, subjects.history(PROJECT_ID, iid), found, times)
        ready = {
            name: tuple([await ready_seconds(name, url, folder) for _ in range(starts)])
            for name in SERVICES
        }
    return Reads(
        events=events, found=found, direct=tuple(direct), consumer=tuple(consumer), ready=ready
    )


@contextlib.asynccontextmanager
async def filled_log(folder: Path, events: int) -> AsyncIterator[str]:
    """A log with so many events of reviews that are done; yields its url."""
    store = await asyncio.to_thread(_made, folder / "nats")
    async with _unsynced(store) as url:
        await _fill(url, events)
    async with running_nats(store) as server:
        yield server.url


def _made(store: Path) -> Path:
    store.mkdir(parents=True)
    return store


async def _all_handled(connection: Connection) -> None:
    """Every durable stands at the end of the log, as with services that ran all the time."""
    for durable in DURABLES:
        path = f"{durable.stream}.{durable.name}"
        await connection.api(f"CONSUMER.DELETE.{path}")
        config = durable.config() | {"deliver_policy": "new"}
        request = {"stream_name": durable.stream, "config": config}
        await connection.api(f"CONSUMER.CREATE.{path}", request)


async def _by_consumers(url: str, subject: str, count: int, times: int) -> list[float]:
    """The same by an ephemeral consumer each: made, read to its end, deleted."""
    client = await nats.connect(url)
    jetstream = client.jetstream(timeout=30)
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
        ack_policy=AckPolicy.NONE,
        inactive_threshold=60.0,
    )
    found = []
    for _ in range(max(1, times // 5)):
        began = time.perf_counter()
        reader = await jetstream.pull_subscribe(subject, stream=EVENTS, config=config)
        messages = await reader.fetch(count, timeout=30)
        name = (await reader.consumer_info()).name
        await jetstream.delete_consumer(EVENTS, name)
        found.append(time.perf_counter() - began)
        if len(messages) != count:
            raise RuntimeError(f"the consumer gave {len(messages)} of {count} events")
    await client.close()
    return found


@contextlib.asynccontextmanager
async def _unsynced(store: Path) -> AsyncIterator[str]:
    """A nats-server on `store` that acknowledges before its events are on disk; yields its url."""
    port = free_port(0)
    config = store / "unsynced.conf"
    config.write_text(configuration(store, port).replace('"always"', '"2m"'))
    process = await asyncio.create_subprocess_exec(
        *(str(binary()), "-c", str(config)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield f"nats://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def _fill(url: str, count: int) -> None:
    async with connected(url, name="bench", on_closed=lambda: None, patience=20) as connection:
        await apply(connection, topology(), replicas=1)
    client = await nats.connect(url)
    jetstream = client.jetstream(publish_async_max_pending=IN_FLIGHT)
    for number, new in enumerate(_events(count)):
        stored = headers(new)
        # Every id would be kept in memory for the duplicate window, and none comes twice.
        del stored["Nats-Msg-Id"]
        await jetstream.publish_async(new.subject, encode(new.event), headers=stored, wait_stall=30)
        if number % IN_FLIGHT == 0:
            await jetstream.publish_async_completed()
    await jetstream.publish_async_completed()
    await client.close()


def _events(count: int) -> Iterator[NewEvent]:
    for number in range(count // PER_MERGE_REQUEST):
        yield from _of_merge_request(number)


def _of_merge_request(iid: int) -> Iterator[NewEvent]:
    """Pushes, each with its request, its result and what was published of it."""
    now = datetime(2025, 8, 6, tzinfo=UTC)
    for push in range(HEADS):
        sha = hashlib.sha1(f"{iid}-{push}".encode()).hexdigest()
        task = f"review-{PROJECT_ID}-{iid}-{sha[:16]}-0"
        place = (PROJECT_ID, iid)
        opened = MrOpened(project_id=PROJECT_ID, iid=iid, head_sha=sha, why="push")
        requested = _requested(task, iid, sha, now)
        done = ReviewDone(task_id=task, head_sha=sha, summary="All is well. " * 20)
        published = TaskPublished(task_id=task, outcome="posted", head_sha=sha)
        for subject, event in (
            (subjects.mr_opened(*place, sha), opened),
            (subjects.task_requested(*place, task), requested),
            (subjects.task_result(*place, task), done),
            (subjects.task_published(*place, task), published),
        ):
            yield NewEvent(
                subject=subject, event=event, message_id=subject, source="bench", time=now
            )


def _requested(task: str, iid: int, sha: str, now: datetime) -> TaskRequested:
    web = "https://gitlab.example.com/shop/app"
    return TaskRequested(
        task_id=task,
        kind="review",
        scope=str(PROJECT_ID),
        ref=str(iid),
        project_id=PROJECT_ID,
        iid=iid,
        clone_url=f"{web}.git",
        web_url=f"{web}/-/merge_requests/{iid}",
        source_branch="topic",
        target_branch="main",
        diff_refs=DiffRefs(base_sha="b" * 40, start_sha="b" * 40, head_sha=sha),
        title="Round the total once",
        description="The totals were rounded before the vouchers were taken off. " * 5,
        expires_at=now + timedelta(hours=6),
    )
