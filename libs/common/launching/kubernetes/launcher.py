"""Launches Jobs on Kubernetes; wired by services when `TASK_EXECUTOR=kubernetes`.

Per task: one call that creates its Job, and one that deletes it. All else comes by two watches that
all Jobs share, and whoever reconciles is told when a Job ended. The cluster holds all state, so any
replica sees and ends the same Jobs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from libs.common.clock import Clock
from libs.common.errors import Permanent, Temporary
from libs.common.launching.contract import ExitCode
from libs.common.launching.kubernetes.client import Object
from libs.common.launching.kubernetes.finality import ends_the_same
from libs.common.launching.kubernetes.manifest import job_manifest
from libs.common.launching.kubernetes.noticing import Noticing
from libs.common.launching.kubernetes.pod import TASK_LABEL, PodSettings, selector
from libs.common.launching.kubernetes.pods import PodsOfJobs
from libs.common.launching.kubernetes.reasons import Verdict, judge
from libs.common.launching.kubernetes.tails import Logs, Tails
from libs.common.launching.kubernetes.watching import Heard, Mirror, Reads
from libs.common.launching.protocol import Job, Launch, Phase
from libs.common.launching.sweeping import Folder

PATIENCE = timedelta(seconds=180)
"""How long a Job may wait for its image, its Secrets or a node."""
UNSURE_SECONDS = 3.0
"""How long a failed Job's pod may take to say why: it comes by another watch."""
log = structlog.get_logger()


class Client(Reads, Logs, Protocol):
    """`client.KubernetesClient`, as far as it is used here."""

    async def create_job(self, manifest: Object) -> Object | None: ...

    async def job(self, name: str) -> Object | None: ...

    async def delete_job(self, name: str, uid: str = "") -> bool: ...

    async def close(self) -> None: ...


class KubernetesLauncher:
    """Implements `protocol.Launcher`; the watches begin with `begin`, or with the first call.

    They end, and the client is closed, by `close` or with the event loop. `secrets` are taken out
    of the last lines of a failed pod.
    """

    def __init__(
        self,
        client: Client,
        pod: PodSettings,
        *,
        clock: Clock,
        patience: timedelta = PATIENCE,
        secrets: Iterable[str] = (),
    ) -> None:
        self._client, self._pod, self._clock = client, pod, clock
        self._patience = patience
        self._tails = Tails(client, secrets)
        self._pods_of = PodsOfJobs(clock)
        ours = selector(pod.source)
        self._noticing = Noticing(self._phases)
        self._jobs = Mirror(client, "jobs", ours, heard=Heard(self._job_moved, self._job_moved))
        self._pods = Mirror(client, "pods", ours, heard=Heard(self._pod_changed, self._pod_went))
        self._running: asyncio.Task[None] | None = None
        self._refused: dict[str, Job] = {}
        self._unsure_since: dict[str, float] = {}
        self._told: set[tuple[str, str]] = set()
        self._launched: set[str] = set()

    def begin(self) -> None:
        """Connect and watch from now on: importing the library alone takes seconds."""
        self._begin()

    def on_change(self, call: Callable[[], None]) -> None:
        """Have `call` called whenever a Job ended, or went, since `jobs` was last asked."""
        self._noticing.notice = call

    async def launch(self, order: Launch) -> None:
        self._begin()
        started_at = self._clock.now().timestamp()
        try:
            made = await self._client.create_job(
                job_manifest(order, self._pod, started_at=started_at)
            )
        except Permanent as error:
            self._refused[order.job_name] = _refused(order, error)
            raise
        if made is not None:
            self._launched.add(made["metadata"]["uid"])
        self._jobs.put(made if made is not None else await self._adopted(order.job_name))

    async def jobs(self) -> list[Job]:
        self._begin()
        objects = await self._jobs.objects()
        await self._pods.objects()
        self._forget_others({each["metadata"]["uid"]: each for each in objects})
        found = self._all(objects)
        self._noticing.told({name: job.phase for name, job in found.items()})
        return [*found.values(), *(job for name, job in self._refused.items() if name not in found)]

    async def cancel(self, job_name: str) -> None:
        self._begin()
        self._refused.pop(job_name, None)
        self._noticing.forget(job_name)
        uids = [each["metadata"]["uid"] for each in self._jobs.named(job_name)]
        if not await self._client.delete_job(job_name, uids[-1] if uids else ""):
            # What we know is old: another replica launched anew, and that one may be wanted.
            newer = await self._client.job(job_name)
            if newer is not None:
                self._jobs.put(newer)
            raise Temporary(f"the Job {job_name} is another than we knew", delay=1.0)
        for uid in uids:
            self._jobs.remove(uid)

    async def trouble(self) -> str | None:
        """Why the cluster's Jobs are not known right now; a readiness detail."""
        trouble = self._jobs.trouble() or self._pods.trouble() if self._running else None
        return str(trouble) if trouble else None

    async def close(self) -> None:
        """End the watches and close the connections."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    def _begin(self) -> None:
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._jobs.run())
                group.create_task(self._pods.run())
                group.create_task(self._noticing.run())
        finally:
            await self._tails.close()
            await self._client.close()

    async def _adopted(self, job_name: str) -> Object:
        """The Job that has the name already, unless it is about to go."""
        found = await self._client.job(job_name)
        if found is None or "deletionTimestamp" in found["metadata"]:
            raise Temporary(f"the Job {job_name} of an earlier launch is still going", delay=2.0)
        return found

    def _phases(self) -> dict[str, Phase]:
        if not (self._jobs.is_listed and self._pods.is_listed):
            # An old Job would seem to have no pod, and the log would say so.
            return {}
        return {name: job.phase for name, job in self._all(self._jobs.known()).items()}

    def _all(self, objects: list[Object]) -> dict[str, Job]:
        now = self._clock.now()
        return {
            each["metadata"]["name"]: self._seen(each, now)
            for each in objects
            if "deletionTimestamp" not in each["metadata"]
        }

    def _seen(self, job: Object, now: datetime) -> Job:
        meta = job["metadata"]
        pods = self._pods_of.of(meta["uid"])
        verdict = judge(job, pods, now=now, patience=self._patience)
        if verdict.unsure and self._may_still_say(meta["uid"]):
            verdict = Verdict(phase="running")
        # Once for each cause: what follows the colon, such as counts of nodes, changes often.
        told = meta["uid"], verdict.waits_for.partition(":")[0]
        if verdict.waits_for and told not in self._told:
            self._told.add(told)
            log.warning("job waits", job=meta["name"], task_id=_task_id(job), why=verdict.waits_for)
        return Job(
            job_name=meta["name"],
            task_id=_task_id(job),
            phase=verdict.phase,
            reason=verdict.reason,
            exit_code=verdict.exit_code,
            final=verdict.phase == "exited" and ends_the_same(job, pods, self._pod),
            launched_here=meta["uid"] in self._launched,
        )

    def _may_still_say(self, uid: str) -> bool:
        now = asyncio.get_running_loop().time()
        return now - self._unsure_since.setdefault(uid, now) < UNSURE_SECONDS

    def _job_moved(self, _job: Object) -> None:
        self._noticing.changed()

    def _pod_changed(self, pod: Object) -> None:
        self._noticing.changed()
        self._pods_of.changed(pod)
        self._tails.look(pod)

    def _pod_went(self, pod: Object) -> None:
        self._noticing.changed()
        self._pods_of.went(pod)
        self._tails.forget(pod)

    def _forget_others(self, jobs: dict[str, Object]) -> None:
        self._pods_of.forget_but(jobs)
        self._told = {told for told in self._told if told[0] in jobs}
        self._launched &= jobs.keys()
        self._unsure_since = {u: at for u, at in self._unsure_since.items() if u in jobs}


class NoFolders:
    """Implements `sweeping.Folders`: a pod's folders go with it."""

    async def found(self) -> list[Folder]:
        return []

    async def remove(self, folder: Folder) -> bool:
        raise Permanent(f"{folder.name} is no folder of a Job on Kubernetes")


def _refused(order: Launch, error: Permanent) -> Job:
    """What never became a Job, as one that ended for good, so that the person is told why."""
    return Job(
        job_name=order.job_name,
        task_id=order.task_id,
        phase="exited",
        reason=str(error),
        exit_code=ExitCode.WRONG_SETTINGS,
    )


def _task_id(job: Object) -> str:
    return str(job["metadata"].get("annotations", {}).get(TASK_LABEL, ""))
