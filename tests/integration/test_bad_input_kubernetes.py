"""Bad input of Kubernetes: each trouble has its line, costs no launch too many and loses no task.

The log is a real nats-server's, the cluster a small API server. Time is the test's, so that what
takes minutes on a cluster is seen at once; `tests/cluster` has the same on a real one.
"""

# What the watch brings tells no event loop; waiting is by looking.
# ruff: noqa: ASYNC110

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from libs.common import subjects
from libs.common.clock import SystemClock
from libs.common.events.tasks import ReviewDone, TaskRequested
from libs.common.jetstream.connection import Connection
from libs.common.launching.kubernetes.client import KubernetesClient
from libs.common.launching.kubernetes.launcher import KubernetesLauncher
from libs.common.launching.kubernetes.pod import PodSettings
from libs.common.launching.protocol import job_name
from libs.common.launching.reconciler import Reconciler
from tests.fakes.clock import FakeClock
from tests.fakes.kubernetes_api import FakeKubernetes
from tests.integration.test_kubernetes_reconciling import Cluster
from tests.integration.test_reconciling_load import running
from tests.unit.launching import examples

pytestmark = pytest.mark.real
UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available: 3 Insufficient memory.",
}
Lines = list[Any]


class TimedCluster(Cluster):
    """Replicas whose time is told by `clock`; a replica made later may have other settings."""

    def __init__(self, connection: Connection, api: FakeKubernetes, folder: Path) -> None:
        super().__init__(connection, api, folder)
        self.clock = FakeClock(SystemClock().now())
        self.image = "runner:1"

    def launcher(self) -> KubernetesLauncher:
        client = KubernetesClient(self.api.namespace, kubeconfig=self._config)
        pod = PodSettings(source="reviewer", image=self.image)
        self._launchers.append(KubernetesLauncher(client, pod, clock=self.clock))
        return self._launchers[-1]

    def replica(self, slots: int = 2) -> Reconciler:
        return dataclasses.replace(super().replica(slots), clock=self.clock, every=0.2)

    async def launches_of(self, task: TaskRequested) -> int:
        return (await self.replica().launches.get(name_of(task))).count

    async def is_open(self, task: TaskRequested) -> bool:
        subject = subjects.task_result(task.scope, task.ref, task.task_id)
        return await self.log.last(subject) is None

    async def ends_once(self, task: TaskRequested, jobs: int = 1) -> None:
        """The Job hands in its result: that is the end, and nothing is left of the Job."""
        assert await self.is_open(task)
        await examples.ended(self.log, task)
        self.api.finish(name_of(task), 0)
        await eventually(lambda: not self.api.jobs, "the Job goes")
        assert isinstance(await self.end_of(task), ReviewDone)
        assert jobs == len(self.api.created)


@pytest.fixture
async def cluster(connection: Connection, tmp_path: Path) -> AsyncIterator[TimedCluster]:
    async with FakeKubernetes().serving() as api:
        made = TimedCluster(connection, api, tmp_path)
        yield made
        await made.close()


@pytest.fixture
def lines() -> Iterator[Lines]:
    with structlog.testing.capture_logs() as found:
        yield found


async def eventually(condition: Callable[[], object], what: str) -> None:
    try:
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"did not happen: {what}")


def name_of(task: TaskRequested) -> str:
    return job_name(task.kind, task.task_id)


def said(lines: Lines, *words: str) -> bool:
    """Whether one line for operators has all these words."""
    whys = [str(line.get("why", "")) for line in lines if line["log_level"] == "warning"]
    return any(all(word in why for word in words) for why in whys)


async def refused_until(
    cluster: TimedCluster, lines: Lines, words: tuple[str, ...], mend: Callable[[], Any]
) -> None:
    """A task whose Job is refused twice with these words, and made once what is wrong is mended."""
    async with running(cluster.replica()):
        task = await cluster.request(1)
        await eventually(lambda: cluster.api.calls["create jobs"] >= 2, "the Job is tried again")
        assert said(lines, *words), lines
        assert not cluster.api.jobs
        mend()
        await eventually(lambda: cluster.api.jobs, "the Job is made")
        await cluster.ends_once(task)
    assert 1 == await cluster.launches_of(task)


async def test_without_the_right_to_create_jobs_a_task_waits_and_loses_no_launch(cluster, lines):
    cluster.api.denied = {"create jobs"}

    words = ("gca-reviewer", "kubectl auth can-i create jobs -n agents")
    await refused_until(cluster, lines, words, cluster.api.denied.clear)


async def test_without_its_namespace_a_task_waits_and_loses_no_launch(cluster, lines):
    cluster.api.namespaces.clear()

    words = ('namespaces "agents" not found', "check K8S_NAMESPACE")
    await refused_until(cluster, lines, words, lambda: cluster.api.namespaces.add("agents"))


async def test_a_minute_without_the_api_server_ends_no_job_and_no_task(cluster, lines):
    async with running(cluster.replica()):
        task = await cluster.request(1)
        await eventually(lambda: cluster.api.jobs, "the Job is made")
        cluster.api.away = True
        cluster.api.cut_watches()
        cluster.api.calls.clear()
        await eventually(lambda: cluster.api.calls.total() >= 6, "the API server is asked again")
        cluster.clock.advance(60)
        later = await cluster.request(2)
        await eventually(lambda: said(lines, "Kubernetes API is busy or away"), "a line says so")
        cluster.api.away = False
        await eventually(lambda: name_of(later) in cluster.api.jobs, "the next Job is made")

        assert name_of(task) in cluster.api.jobs
        for one in (task, later):
            assert await cluster.is_open(one)
            assert 1 == await cluster.launches_of(one)
    assert 2 == len(cluster.api.created)


async def test_a_job_that_no_node_takes_says_so_and_runs_when_one_does(cluster, lines):
    cluster.api.pods_start = False
    async with running(cluster.replica()):
        task = await cluster.request(1)
        await eventually(lambda: cluster.api.jobs, "the Job is made")
        cluster.clock.advance(60)
        await eventually(lambda: said(lines, "no pod was made for it"), "the first cause is told")
        cluster.api.add_pod(name_of(task), phase="Pending", conditions=[UNSCHEDULABLE])
        words = ("no node takes its pod", "Insufficient memory", "K8S_JOB_MEMORY_LIMIT")
        await eventually(lambda: said(lines, *words), "a line says so")
        cluster.api.set_pod(name_of(task), phase="Running")
        cluster.clock.advance(600)
        await cluster.ends_once(task)
    assert 1 == await cluster.launches_of(task)


async def test_a_job_that_no_node_ever_takes_ends_in_words_after_all_its_launches(cluster):
    cluster.api.pods_start = False
    async with running(cluster.replica()):
        task = await cluster.request(1)
        for launch in range(1, task.max_launches + 1):
            await eventually(lambda n=launch: len(cluster.api.created) == n, "the Job is made")
            cluster.api.add_pod(name_of(task), phase="Pending", conditions=[UNSCHEDULABLE])
            await beyond(cluster, lambda n=launch: done_with(cluster, task, n))
        end = await cluster.end_of(task)

    assert "launch" == end.reason
    assert "no node takes its pod: 0/3 nodes are available" in end.detail
    assert task.max_launches == len(cluster.api.created)


async def test_a_job_of_a_missing_image_is_made_anew_with_the_mended_one(cluster, lines):
    cluster.image = "nobody:1"
    async with running(cluster.replica()):
        task = await cluster.request(1)
        await eventually(lambda: cluster.api.jobs, "the Job is made")
        waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "nobody:1"'}
        state = {"name": "clone", "state": {"waiting": waiting}}
        cluster.api.set_pod(name_of(task), phase="Pending", initContainerStatuses=[state])
        cluster.clock.advance(60)
        words = ("K8S_JOB_IMAGE cannot be pulled", "nobody:1")
        await eventually(lambda: said(lines, *words), "a line says so")
    cluster.image = "runner:2"
    async with running(cluster.replica()):
        await beyond(cluster, lambda: done_with(cluster, task, 1))

        [_, anew] = cluster.api.created
        [step] = anew["spec"]["template"]["spec"]["containers"]
        assert "runner:2" == step["image"]
        await cluster.ends_once(task, jobs=2)


async def test_a_job_whose_node_is_gone_is_made_anew_and_ends_once(cluster, lines):
    async with running(cluster.replica()):
        task = await cluster.request(1)
        await eventually(lambda: cluster.api.jobs, "the Job is made")
        pod = cluster.api.pod_of(name_of(task))
        pod["spec"] = {**pod["spec"], "nodeName": "node-7"}
        # What the cluster does when a node is silent: the pod is to go, and nobody ends it.
        pod["metadata"]["deletionTimestamp"] = _moment(cluster.clock.now())
        cluster.api.set_pod(name_of(task), phase="Running")
        await beyond(cluster, lambda: done_with(cluster, task, 1))

        whys = [line["why"] for line in lines if line["event"] == "job ended"]
        assert ["its pod is lost: node node-7 does not answer any more"] == whys
        await cluster.ends_once(task, jobs=2)
    assert 2 == await cluster.launches_of(task)


async def beyond(cluster: TimedCluster, condition: Callable[[], Awaitable[bool]]) -> None:
    """Let time pass by half minutes until it is so; at most a quarter of an hour."""
    for _ in range(30):
        for _ in range(25):
            if await condition():
                return
            await asyncio.sleep(0.02)
        cluster.clock.advance(30)
    pytest.fail("did not happen in 15 minutes")


async def done_with(cluster: TimedCluster, task: TaskRequested, launch: int) -> bool:
    """Whether the Job of this launch was followed by the next, or by the task's end."""
    return len(cluster.api.created) > launch or not await cluster.is_open(task)


def _moment(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
