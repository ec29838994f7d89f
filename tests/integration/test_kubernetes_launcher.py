"""The Kubernetes launcher over HTTP against a small API server: contract, calls, cancel, tails."""

# What the watch brings tells no event loop; waiting is by looking.
# ruff: noqa: ASYNC110

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
import structlog

from libs.common.clock import SystemClock
from libs.common.errors import Permanent, Temporary
from libs.common.launching import exits
from libs.common.launching.contract import ExitCode
from libs.common.launching.kubernetes.client import KubernetesClient
from libs.common.launching.kubernetes.launcher import KubernetesLauncher
from libs.common.launching.kubernetes.pod import PodSettings
from tests.contract.kubernetes_rig import CaughtUp
from tests.contract.launcher import LauncherContract, only_job, order
from tests.fakes.kubernetes_api import FakeKubernetes

NAME = order().job_name
LONG_AGO = "2026-01-05T09:00:00Z"
CANARY = "glpat-canary-0123456789"


class KubernetesRig:
    def __init__(self, api: FakeKubernetes, folder: Path) -> None:
        self.api = api
        self._config = api.kubeconfig(folder)
        self.plain = [self.make(), self.make()]
        self._reads = KubernetesClient(api.namespace, kubeconfig=self._config)
        self.launcher, self.other = (
            CaughtUp(launcher, self._reads, "reviewer") for launcher in self.plain
        )

    def late(self, **more: object) -> KubernetesLauncher:
        """One that begins now: it knows Jobs and pods as they are, whatever its watches do."""
        self.plain.append(self.make(**more))
        return self.plain[-1]

    def make(self, **more: object) -> KubernetesLauncher:
        return KubernetesLauncher(
            KubernetesClient(self.api.namespace, kubeconfig=self._config),
            PodSettings(source="reviewer", image="runner:1"),
            clock=SystemClock(),
            secrets=(CANARY,),
            **more,
        )

    async def finish(self, name: str, exit_code: int) -> None:
        self.api.finish(name, exit_code)
        await self.launcher.until_exited(name)
        await self.other.until_exited(name)

    async def started(self, _at_least: int) -> int:
        return len(self.api.created)

    async def close(self) -> None:
        for launcher in self.plain:
            await launcher.close()
        await self._reads.close()


@pytest.fixture
async def api() -> AsyncIterator[FakeKubernetes]:
    async with FakeKubernetes().serving() as serving:
        yield serving


@pytest.fixture
async def rig(api: FakeKubernetes, tmp_path: Path) -> AsyncIterator[KubernetesRig]:
    made = KubernetesRig(api, tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def launcher(rig: KubernetesRig) -> KubernetesLauncher:
    return rig.plain[0]


async def eventually(condition: Callable[[], object], what: str) -> None:
    try:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"did not happen: {what}")


async def ended(launcher: KubernetesLauncher, reason: str = "") -> tuple[str, int | None]:
    """Reason and exit code of the one Job, once it has ended with a reason like that."""
    try:
        async with asyncio.timeout(20):
            while (job := await only_job(launcher)).phase == "running" or reason not in job.reason:
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"the Job did not end: {job}")
    return job.reason, job.exit_code


class TestKubernetesLauncher(LauncherContract):
    @pytest.fixture
    async def rig(self, rig: KubernetesRig) -> KubernetesRig:
        return rig


async def test_a_task_costs_two_calls_and_the_watches_are_shared(launcher, api):
    await launcher.jobs()
    await eventually(lambda: api.watches == 2, "two watches")
    before = Counter(api.calls)
    for number in range(20):
        await launcher.launch(order(f"review-42-{number}-abc-0"))
    for number in range(20):
        api.finish(order(f"review-42-{number}-abc-0").job_name, 0)
    async with asyncio.timeout(20):
        while {job.phase for job in await launcher.jobs()} != {"exited"}:
            await asyncio.sleep(0.02)
    for number in range(20):
        await launcher.cancel(order(f"review-42-{number}-abc-0").job_name)

    assert before == {"list jobs": 1, "list pods": 1, "watch jobs": 1, "watch pods": 1}
    assert api.calls - before == {"create jobs": 20, "delete jobs": 20}


async def test_cancel_deletes_job_and_pods_in_the_background_within_two_seconds(launcher, api):
    await launcher.launch(order())
    async with asyncio.timeout(2):
        await launcher.cancel(NAME)

    assert api.jobs == {}
    assert api.pods == {}
    [deletion] = api.deletions
    assert deletion["propagationPolicy"] == "Background"


async def test_a_replica_that_is_behind_ends_no_job_that_another_launched_anew(rig, api):
    ahead, behind = rig.plain
    await ahead.launch(order())
    async with asyncio.timeout(20):
        while not await behind.jobs():
            await asyncio.sleep(0.02)
    old = behind._jobs.named(NAME)[0]
    await ahead.cancel(NAME)
    async with asyncio.timeout(20):
        while await behind.jobs():
            await asyncio.sleep(0.02)
    await ahead.launch(order())
    async with asyncio.timeout(20):
        while not await behind.jobs():
            await asyncio.sleep(0.02)
    behind._jobs.remove(behind._jobs.named(NAME)[0]["metadata"]["uid"])
    behind._jobs.put(old)

    with pytest.raises(Temporary, match="another than we knew"):
        await behind.cancel(NAME)
    assert NAME in api.jobs


def test_the_end_of_the_loop_ends_the_watches_and_closes_the_connections(tmp_path):
    async def live() -> FakeKubernetes:
        async with FakeKubernetes().serving() as api:
            client = KubernetesClient(api.namespace, kubeconfig=api.kubeconfig(tmp_path))
            pod = PodSettings(source="reviewer", image="runner:1")
            launcher = KubernetesLauncher(client, pod, clock=SystemClock())
            await launcher.launch(order())
            await launcher.jobs()
            await eventually(lambda: api.watches == 2, "two watches")
        return api

    assert len(asyncio.run(live()).created) == 1


async def test_a_job_that_is_still_being_removed_is_no_success(launcher, api):
    await launcher.launch(order())
    api.mark_deleted(NAME)

    with pytest.raises(Temporary, match="still going"):
        await launcher.launch(order())


async def test_a_job_that_is_being_removed_is_not_listed(launcher, api):
    await launcher.launch(order())
    api.mark_deleted(NAME)
    async with asyncio.timeout(20):
        while await launcher.jobs():
            await asyncio.sleep(0.02)


async def test_the_job_of_a_replica_that_died_is_adopted(rig, launcher, api):
    await rig.plain[1].launch(order())
    await rig.plain[1].close()
    await launcher.launch(order())

    assert len(api.created) == 1
    assert (await only_job(launcher)).phase == "running"


async def test_the_watches_survive_bookmarks_old_versions_and_a_server_that_restarts(launcher, api):
    await launcher.launch(order())
    await launcher.jobs()
    await eventually(lambda: api.watches == 2, "two watches")
    api.bookmark("jobs")
    api.cut_watches()
    await eventually(lambda: api.calls["watch jobs"] == 2, "the watch is opened again")
    assert api.calls["list jobs"] == 1
    api.fail_watches("jobs", 410, "too old resource version")
    await eventually(lambda: api.calls["list jobs"] == 2, "the Jobs are listed anew")
    api.expire()
    api.finish(NAME, 70)

    assert await ended(launcher) == ("run failed by an internal error, see its log", 70)


async def test_what_was_deleted_while_the_watch_was_cut_is_noticed(rig, launcher, api):
    await launcher.launch(order())
    await launcher.jobs()
    api.expire()
    await rig.plain[1].cancel(NAME)
    async with asyncio.timeout(20):
        while await launcher.jobs():
            await asyncio.sleep(0.02)


async def test_jobs_are_not_guessed_while_the_api_is_away(rig, api):
    api.away = True
    launcher = rig.plain[0]
    with pytest.raises(Temporary, match="busy or away"):
        await launcher.jobs()
    with pytest.raises(Temporary, match="busy or away"):
        await launcher.launch(order())
    api.away = False
    async with asyncio.timeout(20):
        while True:
            try:
                assert await launcher.jobs() == []
                break
            except Temporary:
                await asyncio.sleep(0.05)


async def test_no_right_to_create_jobs_names_the_right(launcher, api):
    api.denied = {"create jobs"}
    with pytest.raises(Temporary, match=r"can-i create jobs -n agents"):
        await launcher.launch(order())


async def test_no_right_to_watch_is_said_and_waited_for(launcher, api):
    api.denied = {"list pods"}
    with pytest.raises(Temporary, match=r"can-i list pods -n agents"):
        await launcher.jobs()


async def test_a_full_quota_is_waited_for(launcher, api):
    api.quota = "agents, requested: count/jobs.batch=1, used: 5, limited: 5"
    with pytest.raises(Temporary, match=r"quota of namespace agents is full.*ResourceQuota"):
        await launcher.launch(order())


async def test_a_namespace_that_is_not_there_is_named(api, tmp_path):
    client = KubernetesClient("nowhere", kubeconfig=api.kubeconfig(tmp_path))
    try:
        with pytest.raises(Temporary, match=r"nowhere.*K8S_NAMESPACE"):
            await client.create_job({"metadata": {"name": "x"}})
    finally:
        await client.close()


async def test_a_server_that_is_not_there_is_named_with_its_address(tmp_path):
    async with FakeKubernetes().serving() as api:
        config = api.kubeconfig(tmp_path)
    client = KubernetesClient("agents", kubeconfig=config)
    try:
        with pytest.raises(Temporary, match=r"cannot reach the Kubernetes API to get jobs"):
            await client.job("x")
    finally:
        await client.close()


async def test_without_account_and_kubeconfig_the_call_says_what_is_missing(tmp_path):
    client = KubernetesClient("agents", kubeconfig=str(tmp_path / "none"))
    with pytest.raises(Temporary, match="KUBECONFIG"):
        await client.job("x")


async def test_a_job_that_the_api_never_takes_ends_its_task_with_the_reason(launcher, api):
    api.invalid = "spec.template.spec.containers[0].image: Required value"
    with pytest.raises(Permanent, match="Required value"):
        await launcher.launch(order())
    job = await only_job(launcher)

    assert (job.phase, job.exit_code) == ("exited", ExitCode.WRONG_SETTINGS)
    assert exits.is_final(job)
    assert "Required value" in job.reason
    await launcher.cancel(NAME)
    assert await launcher.jobs() == []


async def test_a_missing_image_ends_the_job_after_a_while_with_the_setting(rig, api):
    launcher = rig.plain[0]
    await launcher.launch(order())
    said = 'Back-off pulling image "runner:1"'
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": said}}
    api.set_pod(NAME, phase="Pending", initContainerStatuses=[{"name": "clone", "state": waiting}])
    assert (await only_job(launcher)).phase == "running"
    api.age(NAME, LONG_AGO)

    reason, code = await ended(rig.late())
    assert reason == f"did not start: K8S_JOB_IMAGE cannot be pulled (ImagePullBackOff): {said}"
    assert code is None


async def test_a_failed_job_waits_a_moment_for_its_pod_to_say_why(launcher, api):
    await launcher.launch(order())
    api.end_job(NAME, "Failed", reason="BackoffLimitExceeded", message="it failed")
    await launcher.jobs()
    await eventually(
        lambda: launcher._jobs.named(NAME)[0]["status"].get("conditions"), "the end is known"
    )
    assert (await only_job(launcher)).phase == "running"
    terminated = {"exitCode": 137, "reason": "OOMKilled"}
    api.set_pod(
        NAME,
        phase="Failed",
        containerStatuses=[{"name": "run", "state": {"terminated": terminated}}],
    )

    assert await ended(launcher) == (
        "run was killed because it needed more than 1Gi of memory; raise K8S_JOB_MEMORY_LIMIT",
        137,
    )


async def test_a_job_whose_pod_vanished_says_so(launcher, api):
    await launcher.launch(order())
    await launcher.jobs()
    api.remove_pod(NAME)
    api.end_job(NAME, "Failed", reason="BackoffLimitExceeded", message="it failed")

    assert await ended(launcher) == (
        "its pod is gone without a word: BackoffLimitExceeded: it failed",
        None,
    )


async def test_sr_37_the_last_lines_of_a_failed_pod_are_kept_without_secrets(launcher, api):
    await launcher.launch(order())
    await launcher.jobs()
    pod = api.pod_of(NAME)["metadata"]["name"]
    text = [f"line {n}" for n in range(80)] + [f"token {CANARY} ghp_abcdefgh12345678", "y" * 900]
    api.logs[pod, "run"] = "\n".join(text)
    with structlog.testing.capture_logs() as logs:
        api.finish(NAME, 70)
        await ended(launcher)
        await eventually(lambda: any(e["event"] == "last lines of a job" for e in logs), "a line")
    [line] = [entry for entry in logs if entry["event"] == "last lines of a job"]

    assert (line["job"], line["task_id"], line["step"]) == (NAME, order().task_id, "run")
    assert len(line["lines"]) == 50
    assert line["lines"][0] == "line 32"
    assert line["lines"][-2] == "token [redacted] [redacted]"
    assert len(line["lines"][-1]) == 500
    assert api.calls["get pods/log"] == 1


async def test_the_last_words_come_from_the_status_when_the_log_is_gone(launcher, api):
    await launcher.launch(order())
    await launcher.jobs()
    terminated = {"exitCode": 13, "reason": "Error", "message": "clone failed: no such branch"}
    with structlog.testing.capture_logs() as logs:
        api.set_pod(
            NAME,
            phase="Failed",
            initContainerStatuses=[{"name": "clone", "state": {"terminated": terminated}}],
        )
        await eventually(lambda: any(e["event"] == "last lines of a job" for e in logs), "a line")
    [line] = [entry for entry in logs if entry["event"] == "last lines of a job"]

    assert line["lines"] == ["clone failed: no such branch"]


async def test_a_job_that_waits_is_logged_once(rig, api):
    await rig.launcher.launch(order())
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient cpu.",
    }
    api.set_pod(NAME, phase="Pending", conditions=[condition])
    api.age(NAME, LONG_AGO)
    launcher = rig.late(patience=timedelta(days=3650))
    with structlog.testing.capture_logs() as logs:
        await launcher.jobs()
        await launcher.jobs()
    [line] = [entry for entry in logs if entry["event"] == "job waits"]

    assert "Insufficient cpu" in line["why"]
    assert "K8S_JOB_CPU_LIMIT" in line["why"]
