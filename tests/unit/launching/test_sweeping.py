"""What nobody needs any more: which folders may go, and what a sweep says and survives."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from libs.common.errors import Temporary
from libs.common.events.tasks import Superseded, TaskFailed
from libs.common.launching.launches import Attempts
from libs.common.launching.plan import CancelJob, EndTask, FreeSlot, StartJob
from libs.common.launching.sweeping import (
    ARTIFACT_AGE,
    FOLDER_AGE,
    Folder,
    Sweeper,
    What,
    repaired,
    unneeded,
)
from tests.fakes.clock import START, FakeClock
from tests.fakes.log import MemoryLog
from tests.unit.launching import examples
from tests.unit.launching.examples import name_of, request, task
from tests.unit.launching.world import World

OLD = START - FOLDER_AGE
NAME = name_of(request(7))
HASH = NAME.rpartition("-")[2]


def folder(name: str = NAME, what: What = "clone_folder", **given) -> Folder:
    return Folder(**({"name": name, "what": what, "changed_at": OLD} | given))


class MemoryFolders:
    """Folders in memory; those in `busy` got a Job just before they were to go."""

    def __init__(self, *folders: Folder) -> None:
        self.there = list(folders)
        self.busy: list[Folder] = []
        self.fail_next: list[Exception] = []

    async def found(self) -> list[Folder]:
        if self.fail_next:
            raise self.fail_next.pop(0)
        return list(self.there)

    async def remove(self, folder: Folder) -> bool:
        if folder in self.busy:
            return False
        self.there.remove(folder)
        return True


class MemoryArtifacts:
    def __init__(self, unnamed: int = 0) -> None:
        self.unnamed = unnamed
        self.ages: list[timedelta] = []

    async def remove(self, age: timedelta) -> int:
        self.ages.append(age)
        gone, self.unnamed = self.unnamed, 0
        return gone


def sweeper(*folders: Folder, log: MemoryLog | None = None, unnamed: int = 0) -> Sweeper:
    return Sweeper(
        log=log or MemoryLog(),
        folders=MemoryFolders(*folders),
        artifacts=MemoryArtifacts(unnamed),
        clock=FakeClock(),
        every=0.01,
    )


@pytest.mark.parametrize(
    "name",
    [
        NAME,
        f"push-{HASH}",
        f".gone-{NAME}-0a1b2c3d",
        f".gone-push-{HASH}-0a1b2c3d",
        f"gca-echo-{'0' * 20}",
    ],
)
def test_an_old_folder_of_a_task_that_is_over_may_go(name):
    assert unneeded([folder(name)], [], START) == [folder(name)]


@pytest.mark.parametrize(
    "name", ["keys", "gca-review-x", f"x{NAME}", f"{NAME}/..", "..", ".ended", ".clones", "push-1"]
)
def test_what_is_not_named_like_one_of_ours_stays(name):
    assert unneeded([folder(name)], [], START) == []


def test_a_young_folder_stays_and_so_does_one_from_a_future():
    young = folder(changed_at=OLD + timedelta(seconds=1))
    later = folder(changed_at=START + timedelta(days=1))
    assert unneeded([young, later], [], START) == []


def test_a_folder_that_a_running_job_uses_stays():
    assert unneeded([folder(running=True)], [], START) == []


def test_a_folder_of_an_open_task_stays_whoever_made_it():
    folders = [folder(), folder(what="state_folder"), folder(f"push-{HASH}")]
    assert unneeded(folders, [request(7).task_id], START) == []


async def test_a_sweep_removes_counts_and_tells_in_one_line():
    log = MemoryLog()
    await examples.requested(log, request(7))
    await examples.requested(log, request(8))
    await examples.ended(log, request(8))
    ended = [
        folder(name_of(request(8)), "clone_folder"),
        folder(name_of(request(8)), "state_folder"),
    ]
    sweeping = sweeper(folder(), *ended, log=log, unnamed=3)
    with capture_logs() as lines:
        swept = await sweeping.sweep()
    assert swept == Counter(clone_folder=1, state_folder=1, artifact=3)
    assert await sweeping.folders.found() == [folder()]
    assert lines == [
        {
            "event": "swept",
            "log_level": "info",
            "clone_folder": 1,
            "state_folder": 1,
            "artifact": 3,
        }
    ]
    assert await sweeping.sweep() == Counter()


async def test_a_folder_that_got_a_job_meanwhile_is_not_counted():
    sweeping = sweeper(folder())
    assert isinstance(sweeping.folders, MemoryFolders)
    sweeping.folders.busy = [folder()]
    assert (await sweeping.sweep())["clone_folder"] == 0


async def test_nothing_goes_while_the_log_cannot_be_read():
    log = MemoryLog()
    log.fail_next = [Temporary("nats is away", peer="nats")]
    sweeping = sweeper(folder(), log=log)
    with pytest.raises(Temporary):
        await sweeping.sweep()
    assert await sweeping.folders.found() == [folder()]


async def test_artifacts_get_a_day():
    sweeping = sweeper()
    await sweeping.sweep()
    assert isinstance(sweeping.artifacts, MemoryArtifacts)
    assert sweeping.artifacts.ages == [ARTIFACT_AGE] == [timedelta(days=1)]


@pytest.mark.parametrize("failure", [Temporary("nats is away"), ValueError("a bug")])
async def test_a_sweep_that_failed_is_made_again(failure):
    sweeping, stopping = sweeper(folder()), asyncio.Event()
    assert isinstance(sweeping.folders, MemoryFolders)
    sweeping.folders.fail_next = [failure]
    loop = asyncio.create_task(sweeping.run(stopping))
    async with asyncio.timeout(10):
        while sweeping.folders.there:  # noqa: ASYNC110  # the fake has no event
            await asyncio.sleep(0)
        stopping.set()
        await loop


async def test_the_reconcilers_loop_sweeps_beside_its_passes():
    world, stopping, sweeping = World(), asyncio.Event(), sweeper(folder())
    assert isinstance(sweeping.folders, MemoryFolders)
    loop = asyncio.create_task(world.reconciler(sweeper=sweeping).run(stopping))
    async with asyncio.timeout(10):
        while sweeping.folders.there:  # noqa: ASYNC110  # the fake has no event
            await asyncio.sleep(0)
        stopping.set()
        await loop


TASK = task()
KNOWN = {TASK.task_id: TASK.request}


def end(reason) -> EndTask:
    sha = TASK.request.head_sha
    return EndTask(task=TASK, result=TaskFailed(task_id=TASK.task_id, head_sha=sha, reason=reason))


def start(count: int, *, replace: bool = False) -> StartJob:
    return StartJob(task=TASK, seen=Attempts(count=count), timeout=60, replace=replace)


SUPERSEDED = Superseded(task_id=TASK.task_id, head_sha=TASK.request.head_sha, by="x")


@pytest.mark.parametrize(
    ("action", "what"),
    [
        (end("timeout"), "overdue_task"),
        (end("launch"), None),
        (EndTask(task=TASK, result=SUPERSEDED), None),
        (CancelJob(task_id="unknown", job_name="gca-review-1"), "job_without_task"),
        (CancelJob(task_id=TASK.task_id, job_name=TASK.job_name), None),
        (start(0), None),
        (start(1), "task_without_job"),
        (start(1, replace=True), None),
        (FreeSlot(task_id=TASK.task_id), None),
    ],
)
def test_what_a_pass_mends_is_named(action, what):
    assert repaired(action, KNOWN) == what


async def test_a_pass_that_mends_says_so_in_one_line():
    world = World()
    late = request(7, expires_in=-1)
    await examples.requested(world.log, late)
    with capture_logs() as lines:
        await world.reconciler().full_pass()
        await world.reconciler().full_pass()
    assert [line["overdue_task"] for line in lines if line["event"] == "repaired"] == [1]
