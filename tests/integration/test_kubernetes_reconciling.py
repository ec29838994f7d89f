"""The reconciler over the Kubernetes launcher: many tasks after a restart, bad days, last words.

The log is a real nats-server's, the cluster a small API server; `tests/cluster` has the real one.
"""

# What the watch brings tells no event loop; waiting is by looking.
# ruff: noqa: ASYNC110

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.common import subjects
from libs.common.clock import SystemClock
from libs.common.events.tasks import TaskFailed, TaskRequested
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import DEDUP, LOCKS
from libs.common.launching.effects import DoorAddress
from libs.common.launching.kubernetes.client import KubernetesClient
from libs.common.launching.kubernetes.launcher import KubernetesLauncher
from libs.common.launching.kubernetes.pod import PodSettings
from libs.common.launching.launches import Attempts, Launches
from libs.common.launching.protocol import job_name
from libs.common.launching.reconciler import Reconciler
from libs.common.launching.slots import Slots
from tests.fakes.kubernetes_api import FakeKubernetes
from tests.integration.test_reconciling import fresh
from tests.integration.test_reconciling_load import running
from tests.unit.launching import examples

pytestmark = pytest.mark.real
OPEN, RUNNING = 1000, 20
AIM = 5.0
"""Seconds for a full pass over `OPEN` tasks after a restart, on a machine with nothing else to do;
this test allows for a busy one and prints what it saw."""


class Cluster:
    """A log, an API server, and replicas of one service over both."""

    def __init__(self, connection: Connection, api: FakeKubernetes, folder: Path) -> None:
        self.log = JetStreamLog(connection)
        self.api = api
        self._locks = JetStreamKeyValue(connection, LOCKS)
        self._dedup = JetStreamKeyValue(connection, DEDUP)
        self._config = api.kubeconfig(folder)
        self._launchers: list[KubernetesLauncher] = []

    def launcher(self) -> KubernetesLauncher:
        client = KubernetesClient(self.api.namespace, kubeconfig=self._config)
        pod = PodSettings(source="reviewer", image="runner:1")
        self._launchers.append(KubernetesLauncher(client, pod, clock=SystemClock()))
        return self._launchers[-1]

    def replica(self, slots: int = 2) -> Reconciler:
        return Reconciler(
            log=self.log,
            launcher=self.launcher(),
            slots=Slots(self._locks, slots),
            launches=Launches(self._dedup),
            clock=SystemClock(),
            kinds=frozenset({"review"}),
            source="reviewer",
            policy=lambda _tasks, _records: {},
            door=DoorAddress(url="http://127.0.0.1:1", secret="s"),
            every=1.0,
        )

    async def request(self, iid: int) -> TaskRequested:
        wanted = fresh(iid)
        await examples.requested(self.log, wanted)
        return wanted

    async def jobs(self, number: int) -> None:
        """Wait until the API server has as many."""
        async with asyncio.timeout(30):
            while len(self.api.jobs) != number:
                await asyncio.sleep(0.02)

    async def end_of(self, task: TaskRequested) -> TaskFailed:
        subject = subjects.task_result(task.scope, task.ref, task.task_id)
        async with asyncio.timeout(50):
            while (end := await self.log.last(subject)) is None:
                await asyncio.sleep(0.05)
        return end.event

    async def close(self) -> None:
        for launcher in self._launchers:
            await launcher.close()


@pytest.fixture
async def cluster(connection: Connection, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with FakeKubernetes().serving() as api:
        made = Cluster(connection, api, tmp_path)
        yield made
        await made.close()


@pytest.mark.timeout(240)
async def test_a_thousand_open_tasks_are_found_again_with_their_jobs_after_a_restart(cluster):
    tasks = [await cluster.request(iid) for iid in range(1, OPEN + 1)]
    before = cluster.replica(slots=RUNNING)
    for task in tasks[:RUNNING]:
        await before.slots.take(task.task_id)
        name = job_name("review", task.task_id)
        await before.launches.add(name, Attempts(), SystemClock().now())
        cluster.api.adopt(name, task.task_id, source="reviewer")
    cluster.api.calls.clear()
    restarted = cluster.replica(slots=RUNNING)
    await restarted.launcher.jobs()  # the library's import is no part of a pass

    began = time.perf_counter()
    await restarted.full_pass()
    took = time.perf_counter() - began

    # Shown by `pytest -s`.
    seen = f"{OPEN} open tasks, {RUNNING} of them with a Job: {took:.2f} s (aim: {AIM} s)"
    print(f"a full pass over {seen}")  # noqa: T201  a number to read
    assert cluster.api.created == []
    assert cluster.api.calls <= Counter(
        {"list jobs": 1, "list pods": 1, "watch jobs": 1, "watch pods": 1}
    )
    assert took < 8 * AIM


async def test_two_replicas_make_one_job_per_task(cluster):
    async with running(cluster.replica(slots=5), cluster.replica(slots=5)):
        tasks = [await cluster.request(iid) for iid in range(1, 6)]
        await cluster.jobs(len(tasks))

    assert len(cluster.api.created) == len(tasks)


async def test_of_two_replicas_one_removes_an_ended_job(cluster):
    async with running(cluster.replica(slots=5), cluster.replica(slots=5)):
        tasks = [await cluster.request(iid) for iid in range(1, 6)]
        await cluster.jobs(len(tasks))
        for name in list(cluster.api.jobs):
            cluster.api.end_job(name, "Failed", reason="DeadlineExceeded")
        await cluster.jobs(0)

    assert cluster.api.calls["delete jobs"] == len(tasks)


async def test_the_job_of_a_replica_that_is_gone_is_removed_by_another(cluster):
    task = await cluster.request(1)
    async with running(cluster.replica()):
        await cluster.jobs(1)
    async with running(cluster.replica()):
        cluster.api.end_job(job_name("review", task.task_id), "Failed", reason="DeadlineExceeded")
        await cluster.jobs(0)

    assert cluster.api.calls["delete jobs"] == 1


async def test_an_api_server_away_costs_a_task_no_launch(cluster):
    cluster.api.away = True
    async with running(cluster.replica()):
        task = await cluster.request(1)
        async with asyncio.timeout(30):
            while cluster.api.calls.total() < 4:
                await asyncio.sleep(0.02)
        cluster.api.away = False
        await cluster.jobs(1)
    counted = await cluster.replica().launches.get(job_name("review", task.task_id))

    assert counted.count == 1


async def test_a_full_quota_costs_a_task_no_launch_and_it_starts_when_there_is_room(cluster):
    cluster.api.quota = "agents, requested: count/jobs.batch=1, used: 1, limited: 1"
    async with running(cluster.replica()):
        task = await cluster.request(1)
        async with asyncio.timeout(30):
            while cluster.api.calls["create jobs"] < 2:
                await asyncio.sleep(0.02)
        cluster.api.quota = ""
        await cluster.jobs(1)
    counted = await cluster.replica().launches.get(job_name("review", task.task_id))

    assert counted.count == 1


async def test_a_deadline_ends_the_task_with_the_setting_and_takes_the_job_away(cluster):
    async with running(cluster.replica()):
        task = await cluster.request(1)
        await cluster.jobs(1)
        name = job_name("review", task.task_id)
        cluster.api.end_job(name, "Failed", reason="DeadlineExceeded")
        end = await cluster.end_of(task)
        await cluster.jobs(0)

    assert end.reason == "timeout"
    assert end.detail.endswith("seconds (K8S_JOB_TIMEOUT)")


async def test_a_job_that_the_api_refuses_ends_the_task_with_what_it_said(cluster):
    cluster.api.invalid = "spec.template.spec.containers[0].image: Required value"
    async with running(cluster.replica()):
        end = await cluster.end_of(await cluster.request(1))

    assert end.reason == "launch"
    assert "Required value" in end.detail
