"""The launchers' contract with the real API server and Job controller.

No node takes the pods, so nobody but the test says how they end: it plays the kubelet.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest_asyncio

from libs.common.clock import SystemClock
from libs.common.launching.kubernetes.client import KubernetesClient
from libs.common.launching.kubernetes.launcher import KubernetesLauncher
from libs.common.launching.kubernetes.pod import PodSettings
from tests.cluster.installed import STORY
from tests.cluster.kubectl import Kubectl
from tests.contract.kubernetes_rig import CaughtUp
from tests.contract.launcher import LauncherContract, order

pytestmark = STORY
SOURCE = "reviewer"
NOWHERE = PodSettings(source=SOURCE, image="runner:1", node_selector={"gca-test/nobody": "here"})


class ClusterRig:
    """Two launchers over the Jobs of one namespace."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._plain = [self._launcher(), self._launcher()]
        self._reads = self._client()
        self.launcher, self.other = (
            CaughtUp(launcher, self._reads, SOURCE) for launcher in self._plain
        )

    def _client(self) -> KubernetesClient:
        config = str(self._kubectl.kubeconfig)
        return KubernetesClient(self._kubectl.namespace, kubeconfig=config)

    def _launcher(self) -> KubernetesLauncher:
        patience = timedelta(minutes=5)
        return KubernetesLauncher(self._client(), NOWHERE, clock=SystemClock(), patience=patience)

    async def finish(self, name: str, exit_code: int) -> None:
        await self.started(1)
        [pod] = await self._kubectl.get("pods", f"batch.kubernetes.io/job-name={name}")
        ended = {"exitCode": exit_code, "reason": "Error" if exit_code else "Completed"}
        run = {"name": "run", "image": "runner:1", "imageID": "", "restartCount": 0}
        run |= {"ready": False, "state": {"terminated": ended}}
        phase = "Failed" if exit_code else "Succeeded"
        status = {"phase": phase, "containerStatuses": [run]}
        patch = ("--type=merge", "--subresource=status", "-p", json.dumps({"status": status}))
        await self._kubectl("patch", "pod", pod["metadata"]["name"], *patch)
        await self.launcher.until_exited(name)
        await self.other.until_exited(name)

    async def started(self, at_least: int) -> int:
        """Pods that the Job controller ever made, by its events."""

        async def made() -> int:
            events = await self._kubectl.get("events")
            names = {one["message"] for one in events if one["reason"] == "SuccessfulCreate"}
            return len(names) if len(names) >= at_least else 0

        return int(await self._kubectl.until(made, f"{at_least} pods to be made", seconds=30))

    async def close(self) -> None:
        await asyncio.gather(*(launcher.close() for launcher in self._plain))
        await self._reads.close()


class TestKubernetesLauncher(LauncherContract):
    @pytest_asyncio.fixture(loop_scope="session")
    async def rig(self, empty: Kubectl) -> AsyncIterator[ClusterRig]:
        made = ClusterRig(empty)
        yield made
        await made.close()

    async def test_cancel_deletes_the_job_within_two_seconds(self, rig: ClusterRig, empty: Kubectl):
        await rig.launcher.launch(order())
        await rig.started(1)

        async with asyncio.timeout(2):
            await rig.launcher.cancel(order().job_name)

        jobs = await empty.get("jobs")
        assert [] == [job for job in jobs if "deletionTimestamp" not in job["metadata"]]
