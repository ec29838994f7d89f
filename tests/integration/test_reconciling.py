"""Reconciler, log, buckets and local Jobs together, all real: the way of a task to its end."""

# Processes outside tell no event loop that they are done; waiting is by looking.
# ruff: noqa: ASYNC110

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from libs.common import subjects
from libs.common.clock import SystemClock
from libs.common.events.tasks import TaskFailed, TaskRequested
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import DEDUP, LOCKS
from libs.common.launching import exits
from libs.common.launching.effects import DoorAddress
from libs.common.launching.launches import Launches
from libs.common.launching.local import LocalLauncher
from libs.common.launching.protocol import Launch
from libs.common.launching.reconciler import Reconciler
from libs.common.launching.slots import Slots
from libs.common.launching.state import Step
from tests.unit.launching import examples

pytestmark = pytest.mark.real


class Machine:
    """One machine with a log; makes replicas of the same service on it."""

    def __init__(self, connection: Connection, log: JetStreamLog, folder: Path) -> None:
        self.log = log
        self.locks = JetStreamKeyValue(connection, LOCKS)
        self.dedup = JetStreamKeyValue(connection, DEDUP)
        self.starts = folder / "starts"
        self.script = "exec sleep 60"
        self.launcher = LocalLauncher(folder / "jobs", steps=self._steps)

    def _steps(self, order: Launch) -> list[Step]:
        script = f"echo {order.task_id} >> {self.starts}; {self.script}"
        environment = {"PATH": os.environ["PATH"]}
        return [Step(name="run", argv=("/bin/sh", "-c", script), environment=environment)]

    def replica(self, slots: int = 2) -> Reconciler:
        return Reconciler(
            log=self.log,
            launcher=self.launcher,
            slots=Slots(self.locks, slots),
            launches=Launches(self.dedup),
            clock=SystemClock(),
            kinds=frozenset({"review"}),
            source="reviewer",
            policy=lambda _tasks, _records: {},
            door=DoorAddress(url="http://127.0.0.1:1", secret="s"),
        )

    async def running(self) -> list[str]:
        return sorted(job.task_id for job in await self.launcher.jobs() if job.phase == "running")


@pytest.fixture
async def machine(
    connection: Connection, event_log: JetStreamLog, tmp_path: Path
) -> AsyncIterator[Machine]:
    machine = Machine(connection, event_log, tmp_path)
    yield machine
    for job in await machine.launcher.jobs():
        await machine.launcher.cancel(job.job_name)


def fresh(iid: int, timeout: int = 60) -> TaskRequested:
    wanted = examples.request(iid)
    limits = msgspec.structs.replace(wanted.limits, timeout=timeout)
    expires_at = SystemClock().now() + timedelta(hours=1)
    return msgspec.structs.replace(wanted, expires_at=expires_at, limits=limits)


async def test_replicas_start_each_task_once_and_no_more_than_slots(machine: Machine):
    wanted = [fresh(iid) for iid in (1, 2, 3)]
    for task in wanted:
        await examples.requested(machine.log, task)
    replicas = [machine.replica() for _ in range(3)]
    for _ in range(2):
        await asyncio.gather(*(replica.full_pass() for replica in replicas))
    first_two = [task.task_id for task in wanted[:2]]
    assert await machine.running() == first_two
    assert sorted(await Slots(machine.locks, 2).held()) == first_two


async def test_result_in_the_log_ends_the_job_and_lets_the_next_one_start(machine: Machine):
    first, second = fresh(1), fresh(2)
    for task in (first, second):
        await examples.requested(machine.log, task)
    stopping, reconciler = asyncio.Event(), machine.replica(slots=1)
    loop = asyncio.create_task(reconciler.run(stopping))
    async with asyncio.timeout(40):
        while await machine.running() != [first.task_id]:
            await asyncio.sleep(0.05)
        await examples.ended(machine.log, first)
        reconciler.wake(subjects.task_result("42", "1", first.task_id))
        while await machine.running() != [second.task_id]:
            await asyncio.sleep(0.05)
        while machine.starts.read_text().split() != [first.task_id, second.task_id]:
            await asyncio.sleep(0.05)
        stopping.set()
        await loop
    assert list(await Slots(machine.locks, 1).held()) == [second.task_id]


async def test_job_that_outlives_its_deadline_ends_its_task_as_timed_out(machine: Machine):
    task = fresh(1, timeout=1)
    await examples.requested(machine.log, task)
    stopping, reconciler = asyncio.Event(), machine.replica()
    await reconciler.full_pass()
    async with asyncio.timeout(30):
        while (await machine.launcher.jobs())[0].exit_code != exits.DEADLINE:
            await asyncio.sleep(0.05)
        loop = asyncio.create_task(reconciler.run(stopping))
        subject = subjects.task_result("42", "1", task.task_id)
        while (end := await machine.log.last(subject)) is None:
            await asyncio.sleep(0.05)
        while await machine.launcher.jobs():
            await asyncio.sleep(0.05)
        stopping.set()
        await loop
    assert isinstance(end.event, TaskFailed)
    assert (end.event.reason, end.event.detail) == (
        "timeout",
        "run was ended at the deadline of 1 seconds",
    )
