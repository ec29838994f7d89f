"""How long the first pass of a reconciler takes after a restart, with many open tasks.

The log and its buckets are a real server's, the cluster a small API server in this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec

from libs.common.clock import SystemClock
from libs.common.events.tasks import TaskRequested
from libs.common.jetstream.apply import apply
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.server import running_nats
from libs.common.jetstream.topology import DEDUP, LOCKS, topology
from libs.common.launching.effects import DoorAddress
from libs.common.launching.kubernetes.client import KubernetesClient
from libs.common.launching.kubernetes.launcher import KubernetesLauncher
from libs.common.launching.kubernetes.pod import PodSettings
from libs.common.launching.launches import Attempts, Launches
from libs.common.launching.reconciler import Reconciler
from libs.common.launching.slots import Slots
from tests.fakes.kubernetes_api import FakeKubernetes
from tests.unit.launching import examples

FEW = 20
SOURCE = "reviewer"
_AT_ONCE = 50


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """First passes over `tasks` open tasks, `jobs` of them with a running Job; seconds of each."""

    tasks: int
    jobs: int
    seconds: tuple[float, ...]


async def measure(folder: Path, *, tasks: int, passes: int) -> list[Reconciled]:
    """One with few Jobs, as most are, and one in which every task has its Job."""
    return [await _measured(folder / str(jobs), tasks, jobs, passes) for jobs in (FEW, tasks)]


async def _measured(folder: Path, tasks: int, jobs: int, passes: int) -> Reconciled:
    async with (
        running_nats(folder / "nats") as server,
        connected(server.url, name="bench", on_closed=lambda: None, patience=20) as connection,
        FakeKubernetes().serving() as api,
    ):
        await apply(connection, topology(), replicas=1)
        config = api.kubeconfig(folder)
        await _fill(connection, api, tasks, jobs)
        async with _restarted(connection, api, config, jobs) as first:
            await first.launcher.jobs()  # the library's import is no part of a pass
        seconds = [await _pass(connection, api, config, jobs) for _ in range(passes)]
        if api.created or len(api.jobs) != jobs:
            raise RuntimeError(f"{len(api.created)} Jobs were made and {len(api.jobs)} are left")
    return Reconciled(tasks=tasks, jobs=jobs, seconds=tuple(seconds))


async def _fill(connection: Connection, api: FakeKubernetes, tasks: int, jobs: int) -> None:
    """So many open tasks; the first have slot, count and Job."""
    log, launches = JetStreamLog(connection), Launches(JetStreamKeyValue(connection, DEDUP))
    slots, gate = Slots(JetStreamKeyValue(connection, LOCKS), jobs), asyncio.Semaphore(_AT_ONCE)
    await slots.held()

    async def put(number: int, wanted: TaskRequested) -> None:
        async with gate:
            await examples.requested(log, wanted)
            if number < jobs:
                await launches.add(examples.name_of(wanted), Attempts(), SystemClock().now())

    wanted = [_request(number) for number in range(1, tasks + 1)]
    await asyncio.gather(*(put(number, one) for number, one in enumerate(wanted)))
    for one in wanted[:jobs]:
        await slots.take(one.task_id)
        api.adopt(examples.name_of(one), one.task_id, source=SOURCE)


async def _pass(connection: Connection, api: FakeKubernetes, config: str, slots: int) -> float:
    async with _restarted(connection, api, config, slots) as reconciler:
        began = time.perf_counter()
        await reconciler.full_pass()
        return time.perf_counter() - began


@contextlib.asynccontextmanager
async def _restarted(
    connection: Connection, api: FakeKubernetes, config: str, slots: int
) -> AsyncIterator[Reconciler]:
    client = KubernetesClient(api.namespace, kubeconfig=config)
    pod = PodSettings(source=SOURCE, image="runner:1")
    launcher = KubernetesLauncher(client, pod, clock=SystemClock())
    try:
        yield Reconciler(
            log=JetStreamLog(connection),
            launcher=launcher,
            slots=Slots(JetStreamKeyValue(connection, LOCKS), slots),
            launches=Launches(JetStreamKeyValue(connection, DEDUP)),
            clock=SystemClock(),
            kinds=frozenset({"review"}),
            source=SOURCE,
            policy=lambda _tasks, _records: {},
            door=DoorAddress(url="http://127.0.0.1:1", secret="none"),
        )
    finally:
        await launcher.close()


def _request(iid: int) -> TaskRequested:
    wanted = examples.request(iid)
    expires_at = SystemClock().now() + timedelta(hours=1)
    return msgspec.structs.replace(wanted, expires_at=expires_at)
