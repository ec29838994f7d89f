"""The launchers' contract over a Kubernetes API: two launchers that see the same Jobs.

For the fake API server here, and from `tests/cluster` for a real one. What one launcher did
reaches the other by its watch, a moment later; so that the contract can ask at once, `CaughtUp`
waits until the mirror agrees with a list of its own.
"""

from __future__ import annotations

import asyncio

from libs.common.launching.kubernetes.client import KubernetesClient
from libs.common.launching.kubernetes.launcher import KubernetesLauncher
from libs.common.launching.kubernetes.pod import selector
from libs.common.launching.protocol import Job, Launch

SECONDS = 30.0


class CaughtUp:
    """A launcher whose `jobs` are as new as the API's own list."""

    def __init__(self, launcher: KubernetesLauncher, reads: KubernetesClient, source: str) -> None:
        self._launcher, self._reads, self._source = launcher, reads, source

    async def launch(self, order: Launch) -> None:
        await self._launcher.launch(order)

    async def cancel(self, job_name: str) -> None:
        await self._launcher.cancel(job_name)

    async def jobs(self) -> list[Job]:
        async with asyncio.timeout(SECONDS):
            while True:
                listing = await self._reads.list("jobs", selector(self._source))
                names = {
                    each["metadata"]["name"]
                    for each in listing.objects
                    if "deletionTimestamp" not in each["metadata"]
                }
                found = await self._launcher.jobs()
                if {job.job_name for job in found} == names:
                    return found
                await asyncio.sleep(0.05)

    async def until_exited(self, job_name: str) -> Job:
        """Wait until the Job is seen to have ended."""
        async with asyncio.timeout(SECONDS):
            while True:
                for job in await self.jobs():
                    if job.job_name == job_name and job.phase == "exited":
                        return job
                await asyncio.sleep(0.05)
