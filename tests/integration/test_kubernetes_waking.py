"""The reconciler hears at once how Jobs end: no full pass is waited for.

The log is a real nats-server's, the cluster a small API server.
"""

# What the watch brings tells no event loop; waiting is by looking.
# ruff: noqa: ASYNC110

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from bench.children import child, ready
from libs.common.events.tasks import TaskRequested
from libs.common.jetstream.connection import Connection
from libs.common.launching.protocol import job_name
from libs.common.launching.reconciler import Reconciler
from tests.fakes.kubernetes_api import FakeKubernetes
from tests.fixtures.ports import free_port
from tests.integration.test_kubernetes_reconciling import Cluster
from tests.integration.test_reconciling_load import running

pytestmark = pytest.mark.real
NEVER = 1000.0
"""Seconds between full passes, so that none comes within a test."""
SOON = 20.0
"""Bound of what follows an end; a third of it is the grace in which a result may still come."""
START = 60.0
"""Bound of a start: the library's import takes long on a busy machine."""


class WatchingCluster(Cluster):
    """Replicas that make one full pass, at their start, and then only what they are woken for."""

    def replica(self, slots: int = 5) -> Reconciler:
        made = super().replica(slots)
        return dataclasses.replace(made, every=NEVER, jobs_changed=self._launchers[-1].on_change)

    async def started(self, reconciler: Reconciler, *tasks: TaskRequested) -> list[str]:
        """Names of their Jobs, once all are there and the reconciler rests."""
        names = [job_name(task.kind, task.task_id) for task in tasks]
        await eventually(lambda: set(names) <= self.api.jobs.keys(), "the Jobs are made")
        launcher = reconciler.launcher
        async with asyncio.timeout(START):
            while {job.job_name for job in await launcher.jobs()} != set(names):
                await asyncio.sleep(0.02)
        return names


@pytest.fixture
async def cluster(connection: Connection, tmp_path: Path) -> AsyncIterator[WatchingCluster]:
    async with FakeKubernetes().serving() as api:
        made = WatchingCluster(connection, api, tmp_path)
        yield made
        await made.close()


async def eventually(condition: Callable[[], object], what: str) -> None:
    try:
        async with asyncio.timeout(START):
            while not condition():
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"did not happen: {what}")


async def test_ends_without_a_result_reach_the_log_without_a_full_pass(cluster):
    tasks = [await cluster.request(iid) for iid in (1, 2, 3)]
    replica = cluster.replica()
    async with running(replica):
        killed, late, nowhere = await cluster.started(replica, *tasks)
        state = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
        statuses = [{"name": "run", "state": state}]
        cluster.api.set_pod(killed, phase="Failed", containerStatuses=statuses)
        cluster.api.end_job(killed, "Failed", reason="PodFailurePolicy")
        cluster.api.end_job(late, "Failed", reason="DeadlineExceeded")
        state = {"waiting": {"reason": "InvalidImageName", "message": "no name"}}
        statuses = [{"name": "clone", "state": state}]
        cluster.api.set_pod(nowhere, phase="Pending", initContainerStatuses=statuses)
        async with asyncio.timeout(SOON):
            ends = [await cluster.end_of(task) for task in tasks]
            while cluster.api.jobs:
                await asyncio.sleep(0.02)

    assert ["launch", "timeout", "launch"] == [end.reason for end in ends]
    assert ends[0].detail.endswith("raise K8S_JOB_MEMORY_LIMIT")
    assert "K8S_JOB_TIMEOUT" in ends[1].detail
    assert "K8S_JOB_IMAGE is no name of an image" in ends[2].detail
    assert 3 == len(cluster.api.created), "a repeat would have ended the same"


async def test_the_watches_begin_before_anybody_asks(cluster):
    launcher = cluster.launcher()
    launcher.begin()
    await eventually(lambda: cluster.api.watches == 2, "two watches")

    assert await launcher.trouble() is None


async def test_trouble_says_why_jobs_are_not_known(cluster):
    cluster.api.denied = {"list pods"}
    launcher = cluster.launcher()
    assert await launcher.trouble() is None, "nobody asked yet"
    launcher.begin()
    await eventually(lambda: cluster.api.calls["list pods"] >= 1, "the pods are listed")
    async with asyncio.timeout(SOON):
        while "can-i list pods -n agents" not in (await launcher.trouble() or ""):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("service", ["reviewer", "coder"])
async def test_readiness_of_a_service_says_whether_its_jobs_are_known(
    cluster, nats_server, tmp_path, service
):
    cluster.api.denied = {"list pods"}
    port = free_port()
    settings = {
        "NATS_URL": nats_server.url,
        "GITLAB_URL": "http://127.0.0.1:9",
        "GITLAB_PROJECTS": "42",
        "GITLAB_READ_TOKEN": "glpat-none",
        "TASK_DOOR_SECRET": "x" * 32,
        "TASK_DOOR_URL": "http://127.0.0.1:9",
        "TASK_EXECUTOR": "kubernetes",
        "K8S_NAMESPACE": cluster.api.namespace,
        "K8S_JOB_IMAGE": "runner:1",
        "K8S_JOB_SECRETS": '{"GITLAB_READ_TOKEN": {"name": "gca-gitlab-read", "key": "token"},'
        ' "GITHUB_TOKEN": {"name": "gca-github", "key": "token"}}',
        "KUBECONFIG": cluster.api.kubeconfig(tmp_path),
        "HEALTH_PORT": str(port),
    }
    async with child([f"services.{service}"], tmp_path, settings) as process:
        await ready(process, port)
        async with aiohttp.ClientSession() as client, asyncio.timeout(START):
            while "can-i list pods" not in (said := await jobs_detail(client, port)):
                await asyncio.sleep(0.1)
            cluster.api.denied.clear()
            while (said := await jobs_detail(client, port)) != "ok":
                await asyncio.sleep(0.1)

    assert "ok" == said


async def jobs_detail(client: aiohttp.ClientSession, port: int) -> str:
    """What `/readyz` says of Jobs; the service is ready all the same."""
    async with client.get(f"http://127.0.0.1:{port}/readyz") as response:
        assert 200 == response.status
        return str((await response.json())["details"]["jobs"])
