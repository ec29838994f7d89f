"""The one consumer loop: pulls messages of a durable, runs the handler, settles each message.

Run by every service that handles events. Nothing else in the system acks, naks or terminates.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import traceback
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from libs.common import metrics, telemetry
from libs.common.clock import Clock
from libs.common.errors import AgentError, Permanent, Temporary, cut
from libs.common.events.envelope import CAUSATION, CE_ID, CE_TYPE, TRACEPARENT, Recorded
from libs.common.jetstream import messaging
from libs.common.jetstream.artifacts import Artifacts
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.dead_letters import DeadLetter, DeadLetters
from libs.common.jetstream.deliveries import Delivery, Pull
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.packing import unpack
from libs.common.jetstream.settling import (
    ConsumerLimits,
    Dead,
    Done,
    Settlement,
    Strikes,
    after_failure,
    is_poison,
)
from libs.common.jetstream.starts import Starts
from libs.common.jetstream.topology import ACK_WAIT, DEDUP, EVENTS

Handler = Callable[[Recorded], Awaitable[None]]
_LONGEST_PAUSE = 60.0
_LOOK_AGAIN = 5.0
_log = structlog.get_logger(__name__)


class Consumer:
    """One replica's share of a durable on EVENTS.

    A handler returns (acknowledged), raises `Temporary` (comes again; judged by age), `Permanent`
    (dead letter), or anything else, which is our bug: it comes again with growing waits, and is
    dead-lettered before the handler runs once more than `poison_after` times. Handlers see each
    event at least once.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        durable: str,
        handler: Handler,
        dead: DeadLetters,
        clock: Clock,
        limits: ConsumerLimits | None = None,
    ) -> None:
        self._connection = connection
        self._durable = durable
        self._handler = handler
        self._dead = dead
        self._clock = clock
        self._limits = limits or ConsumerLimits()
        self._artifacts = Artifacts(connection)
        self._starts = Starts(
            JetStreamKeyValue(connection, DEDUP), durable, self._limits.give_up_after
        )
        self._slots = asyncio.Semaphore(self._limits.concurrency)
        self._running: set[asyncio.Task[None]] = set()
        self._closing = False
        self._paused_until = 0.0
        self._strikes = Strikes()
        self._ack_wait: float = ACK_WAIT
        self._pull = Pull(connection, EVENTS, durable, self._on_delivery)

    async def run(self, stopping: asyncio.Event) -> None:
        """Handle messages until `stopping` is set, then let those in hand finish."""
        drain = 0.0
        try:
            await self._pull.open()
            # The durable was declared elsewhere; without an answer ours is as good a guess.
            with contextlib.suppress(AgentError):
                self._ack_wait = await self._pull.ack_wait()
            while not stopping.is_set():
                await self._turn(stopping)
            drain = self._limits.drain
        finally:
            await self._close(drain)

    async def _turn(self, stopping: asyncio.Event) -> None:
        reconnect, pause = self._connection.next_reconnect, self._paused_until - time.monotonic()
        self._pull.changed.clear()
        free = self._limits.concurrency - len(self._running)
        if self._pull.is_silent:
            self._pull.forget()
        if self._pull.outstanding == 0 and free > 0 and pause <= 0 and self._connection.is_up:
            await self._pull.ask(free)
        waiting = [self._pull.changed, reconnect, stopping]
        idle = self._pull.outstanding == 0 and free > 0
        longest = max(0.05, min(pause, _LOOK_AGAIN)) if pause > 0 else 0.5 if idle else _LOOK_AGAIN
        await _first_of(waiting, longest)
        if reconnect.is_set():
            self._pull.forget()

    async def _close(self, drain: float) -> None:
        self._closing = True
        await self._pull.close()
        if self._running:
            await asyncio.wait(self._running, timeout=drain)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _on_delivery(self, delivery: Delivery) -> None:
        work = self._give_back(delivery) if self._closing else self._handle(delivery)
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._pull.changed.set()
        if not task.cancelled() and task.exception() is not None:
            _log.error("settling failed; the message will come again", error=repr(task.exception()))

    async def _handle(self, delivery: Delivery) -> None:
        stored = delivery.stored
        with (
            telemetry.span(
                f"process {messaging.template(stored.subject)}",
                kind="consumer",
                parent=stored.headers.get(TRACEPARENT, ""),
                attributes=messaging.attributes("process", stored.subject),
            ) as span,
            structlog.contextvars.bound_contextvars(**_task(stored.subject)),
        ):
            span.set(
                {
                    "messaging.consumer.group.name": self._durable,
                    "messaging.message.id": stored.headers.get(CE_ID),
                    "gca.seq": stored.seq,
                    "gca.delivered": delivery.delivered,
                }
            )
            await self._handle_in(span, delivery)

    async def _handle_in(self, span: telemetry.Span, delivery: Delivery) -> None:
        started = time.monotonic()
        keeping = asyncio.create_task(self._keep(delivery))
        try:
            async with self._slots:
                crashes = await self._starts.before(delivery.stored.seq, delivery.delivered)
                settlement = await self._outcome(delivery, crashes)
            outcome = await self._settle(delivery, settlement)
            span.set({"gca.outcome": outcome.partition(":")[0]})
            if not isinstance(settlement, Done):
                span.failed(type(settlement).__name__.lower())
        except asyncio.CancelledError:
            await self._give_back(delivery)
            raise
        finally:
            keeping.cancel()
        _report(self._durable, delivery, settlement, outcome, time.monotonic() - started)

    async def _outcome(self, delivery: Delivery, crashes: int) -> Settlement:
        if is_poison(crashes, self._limits):
            return Dead(f"the handler failed or died on it {crashes} times")
        await self._starts.begin(delivery.stored.seq, delivery.delivered, crashes)
        try:
            await self._handler(await unpack(self._artifacts, delivery.stored))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return self._failed(delivery, RuntimeError("the handler was cancelled inside"), crashes)
        except Exception as error:  # noqa: BLE001  # whatever it is, it must be settled
            return self._failed(delivery, error, crashes)
        return Done()

    def _failed(self, delivery: Delivery, error: Exception, crashes: int) -> Settlement:
        metrics.count("handler_failures", durable=self._durable, kind=_kind(error))
        _report_bug(self._durable, delivery, error)
        age = self._clock.now() - delivery.stored.time
        return after_failure(error, age=age, crashes=crashes, limits=self._limits)

    async def _settle(self, delivery: Delivery, settlement: Settlement) -> str:
        try:
            if isinstance(settlement, Done):
                self._strikes.done()
                await self._connection.request(delivery.reply, b"+ACK")
                return "done"
            if isinstance(settlement, Dead):
                return await self._bury(delivery, settlement)
            peer = settlement.peer
            if peer is not None and self._strikes.failed(peer, delivery.stored.seq):
                pause = min(settlement.delay, _LONGEST_PAUSE)
                self._paused_until = max(self._paused_until, time.monotonic() + pause)
            await self._again(delivery, settlement.delay, orderly=settlement.orderly)
            return "later"
        except AgentError as error:
            # Unsettled means delivered again after ack_wait; every handler can bear that.
            return f"unsettled: {error}"

    async def _bury(self, delivery: Delivery, settlement: Dead) -> str:
        letter = DeadLetter(
            stored=delivery.stored,
            stream=EVENTS,
            service=self._durable,
            reason=settlement.reason,
            attempts=delivery.delivered,
        )
        try:
            await self._dead.add(letter)
        except Temporary as error:
            await self._again(delivery, error.delay, orderly=True)
            return f"later: {error}"
        await self._connection.request(delivery.reply, f"+TERM {cut(settlement.reason)}".encode())
        return "dead"

    async def _again(self, delivery: Delivery, delay: float, *, orderly: bool) -> None:
        if orderly:
            await self._starts.forgive(delivery.stored.seq)
        jittered = delay * random.uniform(1.0, 1.2)  # noqa: S311  # jitter, no secret
        body = msgspec.json.encode({"delay": int(jittered * 10**9)})
        await self._connection.send(delivery.reply, b"-NAK " + body)

    async def _give_back(self, delivery: Delivery) -> None:
        """Let another replica have it, at once, and count no failure."""
        with contextlib.suppress(AgentError):
            await self._again(delivery, 0.0, orderly=True)

    async def _keep(self, delivery: Delivery) -> None:
        """Tell the server that the message is still in work."""
        while True:
            await asyncio.sleep(self._ack_wait / 3)
            with contextlib.suppress(AgentError):
                await self._connection.send(delivery.reply, b"+WPI")


async def _first_of(events: list[asyncio.Event], longest: float) -> None:
    tasks = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, timeout=longest, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _report(
    durable: str, delivery: Delivery, settlement: Settlement, outcome: str, seconds: float
) -> None:
    headers = delivery.stored.headers
    event = ".".join(headers.get(CE_TYPE, "").split(".")[:2])
    word = outcome.partition(":")[0]
    metrics.count("messages_handled", durable=durable, event=event, outcome=word)
    metrics.observe("message_duration", seconds, durable=durable)
    reason = "" if isinstance(settlement, Done) else settlement.reason
    level = {"done": _log.info, "later": _log.warning}.get(outcome, _log.error)
    level(
        "message handled",
        durable=durable,
        subject=delivery.stored.subject,
        seq=delivery.stored.seq,
        event_type=headers.get(CE_TYPE, ""),
        outcome=outcome,
        reason=reason,
        delivered=delivery.delivered,
        seconds=round(seconds, 3),
        causation_id=headers.get(CAUSATION, ""),
    )


def _report_bug(durable: str, delivery: Delivery, error: Exception) -> None:
    if isinstance(error, AgentError):
        return
    # Without locals: they may hold what must not be in logs (SR-37).
    where = "".join(traceback.format_tb(error.__traceback__))[-4000:]
    _log.error(
        "a handler failed by a bug",
        durable=durable,
        seq=delivery.stored.seq,
        error=cut(f"{type(error).__name__}: {error}"),
        where=where,
    )


def _task(subject: str) -> dict[str, str]:
    """What each log line about a task's event says."""
    task_id = messaging.task_of(subject)
    return {"task_id": task_id} if task_id else {}


def _kind(error: Exception) -> str:
    if isinstance(error, Permanent):
        return "permanent"
    return "temporary" if isinstance(error, Temporary) else "bug"
