"""Pods, the API server and NATS are killed while tasks run: everything ends, and ends once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.cluster import clusters
from tests.cluster.installed import PATIENCE, SERVICES, STORY, Installed, is_running
from tests.cluster.kubectl import COMPONENT, PART_OF
from tests.cluster.people import NoteRef, Opened

pytestmark = [*STORY, pytest.mark.timeout(1200)]
AT_ONCE = ("--grace-period=0", "--force", "--wait=false")


async def test_every_service_killed_while_tasks_run_loses_nothing(system):
    async with two_tasks(system) as (review, asked, note):
        for name in SERVICES:
            await system.kubectl("delete", "pods", "-l", f"{PART_OF},{COMPONENT}={name}", *AT_ONCE)
            await system.healthy()
        await ended_once(system, review, asked, note)


async def test_a_job_s_pod_that_is_killed_is_made_again_or_started_anew(system):
    async with two_tasks(system) as (review, asked, note):
        for about in (review, asked):
            pod = await system.pod_of(await system.task_of(about), is_running)
            await system.kubectl("delete", "pod", pod["metadata"]["name"], *AT_ONCE)
        await ended_once(system, review, asked, note)


async def test_nats_killed_while_tasks_run_loses_nothing(system):
    async with two_tasks(system) as (review, asked, note):
        [before] = await system.kubectl.pods("nats")
        name = before["metadata"]["name"]
        await system.kubectl.attempt("exec", name, "--", "sh", "-c", "kill 1")

        async def restarted() -> bool:
            pod = await system.kubectl.one("pod", name)
            [status] = pod["status"]["containerStatuses"]
            return status["restartCount"] > 0 and status["ready"]

        await system.kubectl.until(restarted, "NATS to be back", seconds=120)
        await system.healthy()
        await ended_once(system, review, asked, note)


@pytest.mark.skipif(not clusters.is_ours(), reason="kills the API server of `make cluster` only")
async def test_the_api_server_killed_while_tasks_run_ends_none_of_them(system):
    async with two_tasks(system) as (review, asked, note):
        await clusters.hold("kube-apiserver")
        await asyncio.sleep(20)  # for a while, there is none
        await clusters.release("kube-apiserver")
        await system.kubectl.until(
            lambda: answers(system), "the API server to answer again", seconds=120
        )
        await ended_once(system, review, asked, note)
    await system.review_of(await system.gitlab.opened(), seconds=PATIENCE)


@contextlib.asynccontextmanager
async def two_tasks(system: Installed) -> AsyncIterator[tuple[Opened, Opened, NoteRef]]:
    """A review and a command whose sessions are under way, and last some time yet."""
    review = await system.gitlab.opened(title="SCRIPT: pause 25")
    asked = await system.gitlab.draft()
    note = await system.gitlab.comment(asked, "/copilot SCRIPT: pause 25 and add a note")
    for about in (review, asked):
        await system.pod_of(await system.task_of(about), is_running)
    yield review, asked, note
    await system.healthy()


async def ended_once(system: Installed, review: Opened, asked: Opened, note: NoteRef) -> None:
    record = await system.review_of(review, seconds=2 * PATIENCE)
    await system.answer(asked, note, seconds=2 * PATIENCE)
    assert "posted" == record.outcome
    assert 2 == len(await system.gitlab.said(review)), "the finding and the summary, once"
    assert 1 == len(await system.gitlab.commits(asked))


async def answers(system: Installed) -> bool:
    return (await system.kubectl.attempt("get", "--raw", "/readyz", seconds=20)).code == 0
