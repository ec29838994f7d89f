"""Reconcilers of two services on the real server, under load: slots, turns, and quick cancels."""

# Processes outside tell no event loop what they did; waiting is by looking.
# ruff: noqa: ASYNC110, ASYNC240

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from libs.common import subjects
from libs.common.clock import SystemClock
from libs.common.events.envelope import Recorded
from libs.common.events.tasks import TaskRequested
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.removals import on_removal
from libs.common.jetstream.topology import DEDUP, LOCKS
from libs.common.launching.effects import DoorAddress
from libs.common.launching.launches import Launches
from libs.common.launching.local import LocalLauncher
from libs.common.launching.plan import OpenTask
from libs.common.launching.protocol import Launch, Launcher
from libs.common.launching.reconciler import Reconciler
from libs.common.launching.slots import KEYS, Slots
from libs.common.launching.state import Step
from tests.fakes.launcher import FakeLauncher
from tests.integration.test_reconciling import fresh
from tests.unit.launching import examples
from tests.unit.launching.examples import name_of

pytestmark = pytest.mark.real
WITHIN = 2.0
"""Seconds from the append of a newer head's task to the older Job's SIGTERM."""


def newest_only(tasks: list[OpenTask], _records: list[Recorded]) -> dict[str, str]:
    return {task.task_id: "newer head" for task in tasks[:-1]}


def all_wanted(_tasks: list[OpenTask], _records: list[Recorded]) -> dict[str, str]:
    return {}


class House:
    """One log and one set of slots; replicas of services over the same Jobs."""

    def __init__(self, connection: Connection, launcher: Launcher) -> None:
        self.connection = connection
        self.log = JetStreamLog(connection)
        self.locks = JetStreamKeyValue(connection, LOCKS)
        self.dedup = JetStreamKeyValue(connection, DEDUP)
        self.launcher = launcher

    def replica(self, kind: str, *, slots: int, policy=all_wanted, every: float = 3) -> Reconciler:
        return Reconciler(
            log=self.log,
            launcher=self.launcher,
            slots=Slots(self.locks, slots),
            launches=Launches(self.dedup),
            clock=SystemClock(),
            kinds=frozenset({kind}),
            source="coder" if kind == "coding" else "reviewer",
            policy=policy,
            door=DoorAddress(url="http://127.0.0.1:1", secret="s"),
            every=every,
            slot_freed=functools.partial(on_removal, self.connection, LOCKS, KEYS),
        )


@contextlib.asynccontextmanager
async def running(*reconcilers: Reconciler) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    loops = [asyncio.create_task(reconciler.run(stopping)) for reconciler in reconcilers]
    try:
        yield
    finally:
        stopping.set()
        async with asyncio.timeout(20):
            await asyncio.gather(*loops)


class Instant(FakeLauncher):
    """Counts how many Jobs run at once, and in which order their tasks started."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self.started: asyncio.Queue[str] = asyncio.Queue()

    async def launch(self, order: Launch) -> None:
        before = len(self.orders)
        await super().launch(order)
        if len(self.orders) > before:
            self.most = max(self.most, sum(j.phase == "running" for j in self.running.values()))
            self.started.put_nowait(order.task_id)


def of_project(project: int, iid: int, kind: str) -> TaskRequested:
    wanted = fresh(iid)
    return msgspec.structs.replace(
        wanted,
        kind=kind,
        task_id=f"{kind}-{project}-{iid}-x",
        project_id=project,
        scope=str(project),
    )


async def test_two_services_with_two_replicas_each_keep_to_the_slots_and_take_turns(
    connection: Connection,
):
    slots = 3
    launcher = Instant()
    house = House(connection, launcher)
    services = {
        kind: [house.replica(kind, slots=slots) for _ in range(2)] for kind in ("review", "coding")
    }
    busy = [of_project(1, iid, "review") for iid in range(1, 19)]
    others = [of_project(2, iid, "coding") for iid in (1, 2, 3)]
    others += [of_project(3, iid, "review") for iid in (1, 2, 3)]
    by_id = {wanted.task_id: wanted for wanted in (*busy, *others)}
    rng = random.Random(5)  # the same story each time

    def wake(subject: str) -> None:
        """Of each service one replica handles the event."""
        for replicas in services.values():
            rng.choice(replicas).wake(subject)

    order: list[str] = []
    for wanted in by_id.values():
        await examples.requested(house.log, wanted)

    async def finish(task_id: str) -> None:
        wanted = by_id[task_id]
        await asyncio.sleep(rng.uniform(0.05, 0.2))
        await examples.ended(house.log, wanted)
        launcher.exit(name_of(wanted), exit_code=0)
        wake(subjects.task_result(wanted.scope, wanted.ref, task_id))

    async with (
        running(*(replica for some in services.values() for replica in some)),
        asyncio.timeout(50),
        asyncio.TaskGroup() as jobs,
    ):
        while len(order) < len(by_id):
            order.append(await launcher.started.get())
            jobs.create_task(finish(order[-1]))
    assert sorted(order) == sorted(by_id), "each task once"
    assert launcher.most <= slots
    last_of_others = max(order.index(wanted.task_id) for wanted in others)
    assert last_of_others < len(by_id) - 4, "the busy project had the others wait for all its tasks"


async def test_who_waits_for_another_services_slot_hears_when_it_is_freed(connection: Connection):
    """Told, not found by looking, which would take two seconds each time."""
    launcher = Instant()
    house = House(connection, launcher)
    theirs = Slots(house.locks, 1)
    reconciler = house.replica("review", slots=1, every=1000)
    began = asyncio.get_running_loop().time()
    async with running(reconciler), asyncio.timeout(30):
        for number in range(5):
            assert await theirs.take(f"coding-{number}")
            wanted = fresh(number + 1)
            await examples.requested(house.log, wanted)
            reconciler.wake(subjects.task_requested("42", wanted.ref, wanted.task_id))
            while not reconciler._waits:
                await asyncio.sleep(0.01)
            await theirs.free(f"coding-{number}")
            assert await launcher.started.get() == wanted.task_id
            await examples.ended(house.log, wanted)
            launcher.exit(name_of(wanted), exit_code=0)
            reconciler.wake(subjects.task_result("42", wanted.ref, wanted.task_id))
            while await theirs.held() or reconciler._waits:
                await asyncio.sleep(0.01)
    assert asyncio.get_running_loop().time() - began < 5


class Shop:
    """Jobs that write down when they are told to end; those in `deaf` do not listen."""

    def __init__(self, connection: Connection, folder: Path) -> None:
        self.folder = folder
        self.deaf: set[str] = set()
        self.launcher = LocalLauncher(folder / "jobs", steps=self._steps)
        self.house = House(connection, self.launcher)

    def _steps(self, order: Launch) -> list[Step]:
        up, told = self.folder / f"{order.job_name}.up", self._told(order.job_name)
        ends = "" if order.task_id in self.deaf else "exit 0"
        script = f"trap 'touch {told}; {ends}' TERM; touch {up}; while :; do sleep 0.05; done"
        environment = {"PATH": os.environ["PATH"]}
        return [Step(name="run", argv=("/bin/sh", "-c", script), environment=environment)]

    def _told(self, name: str) -> Path:
        return self.folder / f"{name}.told"

    async def up(self, wanted: TaskRequested, seconds: float = 30) -> None:
        await self._there(self.folder / f"{name_of(wanted)}.up", seconds)

    async def told(self, wanted: TaskRequested, seconds: float) -> None:
        await self._there(self._told(name_of(wanted)), seconds)

    async def _there(self, file: Path, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while not file.exists():
                await asyncio.sleep(0.02)


@pytest.fixture
async def shop(connection: Connection, tmp_path: Path) -> AsyncIterator[Shop]:
    shop = Shop(connection, tmp_path)
    yield shop
    jobs = await shop.launcher.jobs()
    await asyncio.gather(*(shop.launcher.cancel(job.job_name) for job in jobs))


def newer(wanted: TaskRequested) -> TaskRequested:
    return msgspec.structs.replace(wanted, task_id=f"{wanted.task_id}-n1")


async def ask(shop: Shop, reconciler: Reconciler, wanted: TaskRequested) -> None:
    await examples.requested(shop.house.log, wanted)
    reconciler.wake(subjects.task_requested(wanted.scope, wanted.ref, wanted.task_id))


async def test_a_newer_head_ends_the_older_job_within_two_seconds(shop: Shop):
    old = fresh(1)
    reconciler = shop.house.replica("review", slots=2, policy=newest_only)
    async with running(reconciler):
        await ask(shop, reconciler, old)
        await shop.up(old)
        await ask(shop, reconciler, newer(old))
        await shop.told(old, WITHIN)
        await shop.up(newer(old))
    assert [job.task_id for job in await shop.launcher.jobs()] == [newer(old).task_id]


async def test_a_job_that_does_not_listen_delays_the_cancel_of_no_other(shop: Shop):
    """Its own successor waits until it is gone: one review of a merge request runs at a time."""
    deaf, old = fresh(1), fresh(2)
    shop.deaf = {deaf.task_id}
    reconciler = shop.house.replica("review", slots=2, policy=newest_only)
    async with running(reconciler):
        for wanted in (deaf, old):
            await ask(shop, reconciler, wanted)
            await shop.up(wanted)
        await ask(shop, reconciler, newer(deaf))
        await shop.told(deaf, WITHIN)
        await ask(shop, reconciler, newer(old))
        await shop.told(old, WITHIN)
        running_now = {job.task_id for job in await shop.launcher.jobs()}
        assert deaf.task_id in running_now
        assert newer(deaf).task_id not in running_now
        await shop.up(newer(deaf))
        await shop.up(newer(old))


async def test_a_newer_head_is_seen_while_many_jobs_start(shop: Shop):
    old, crowd = fresh(1), [fresh(iid) for iid in range(2, 10)]
    reconciler = shop.house.replica("review", slots=12, policy=newest_only)
    async with running(reconciler):
        await ask(shop, reconciler, old)
        await shop.up(old)
        for wanted in crowd:
            await ask(shop, reconciler, wanted)
        await shop.up(crowd[0])
        await ask(shop, reconciler, newer(old))
        await shop.told(old, WITHIN)
        for wanted in crowd:
            await shop.up(wanted)
