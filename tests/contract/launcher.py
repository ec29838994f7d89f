"""What every launcher does; subclasses bring a `rig` and run for a fake, processes or a cluster."""

from __future__ import annotations

import asyncio
from typing import Protocol

from msgspec.structs import replace

from libs.common.launching.protocol import Job, Launch, Launcher, job_name


class Rig(Protocol):
    """A launcher, another one over the same Jobs, and a way to let a Job end by itself."""

    launcher: Launcher
    other: Launcher

    async def finish(self, name: str, exit_code: int) -> None: ...

    async def started(self, at_least: int) -> int:
        """How many Jobs really began, ever; waits for the first `at_least`."""
        ...


def order(task_id: str = "review-42-7-abc-0", timeout: int = 60) -> Launch:
    return Launch(
        job_name=job_name("review", task_id),
        task_id=task_id,
        kind="review",
        task_url=f"http://127.0.0.1:1/tasks/{task_id}",
        task_token="1.token",
        timeout=timeout,
    )


async def only_job(launcher: Launcher) -> Job:
    jobs = await launcher.jobs()
    assert len(jobs) == 1
    return jobs[0]


class LauncherContract:
    """Each test gets a fresh `rig`."""

    async def test_there_are_no_jobs_at_first(self, rig: Rig):
        assert await rig.launcher.jobs() == []

    async def test_a_launched_job_is_listed_as_running(self, rig: Rig):
        await rig.launcher.launch(order())
        wanted = order()
        assert await rig.launcher.jobs() == [
            Job(job_name=wanted.job_name, task_id=wanted.task_id, phase="running")
        ]

    async def test_another_launcher_sees_the_same_jobs(self, rig: Rig):
        await rig.launcher.launch(order())
        [seen] = await rig.other.jobs()
        assert [replace(seen, launched_here=True)] == await rig.launcher.jobs()

    async def test_launching_a_running_job_again_is_success_and_one_job(self, rig: Rig):
        await rig.launcher.launch(order())
        await rig.launcher.launch(order())
        await only_job(rig.launcher)
        assert await rig.started(1) == 1

    async def test_launchers_that_race_for_one_name_start_one_job(self, rig: Rig):
        both = (rig.launcher, rig.other) * 4
        await asyncio.gather(*(launcher.launch(order()) for launcher in both))
        await only_job(rig.launcher)
        assert await rig.started(1) == 1

    async def test_an_exited_job_stays_with_its_reason_and_exit_code(self, rig: Rig):
        await rig.launcher.launch(order())
        await rig.finish(order().job_name, 70)
        job = await only_job(rig.launcher)
        assert (job.phase, job.exit_code) == ("exited", 70)
        assert job.reason

    async def test_launching_an_exited_job_does_not_start_it_again(self, rig: Rig):
        await rig.launcher.launch(order())
        await rig.finish(order().job_name, 0)
        await rig.launcher.launch(order())
        assert (await only_job(rig.launcher)).phase == "exited"

    async def test_cancel_ends_a_running_job_and_forgets_it(self, rig: Rig):
        await rig.launcher.launch(order())
        await rig.other.cancel(order().job_name)
        assert await rig.launcher.jobs() == []

    async def test_cancel_forgets_an_exited_job_so_that_its_name_is_free(self, rig: Rig):
        await rig.launcher.launch(order())
        await rig.finish(order().job_name, 1)
        await rig.launcher.cancel(order().job_name)
        await rig.launcher.launch(order())
        assert (await only_job(rig.launcher)).phase == "running"
        assert await rig.started(2) == 2

    async def test_cancel_of_a_job_that_is_not_there_is_success(self, rig: Rig):
        await rig.launcher.cancel(order().job_name)
        await rig.launcher.launch(order())
        await asyncio.gather(*(rig.launcher.cancel(order().job_name) for _ in range(3)))
        assert await rig.launcher.jobs() == []

    async def test_jobs_of_different_tasks_live_side_by_side(self, rig: Rig):
        await rig.launcher.launch(order("review-42-7-abc-0"))
        await rig.launcher.launch(order("review-42-8-def-0"))
        await rig.launcher.cancel(order("review-42-7-abc-0").job_name)
        assert (await only_job(rig.launcher)).task_id == "review-42-8-def-0"
