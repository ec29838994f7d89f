"""A clone that fails ends its task with the reason; only a host that is away is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from libs.common.events.tasks import Limits, TaskFailed
from libs.common.git.clone import ClonedRepository, CloneOrder
from libs.common.git.errors import (
    AuthFailed,
    CloneFailed,
    DiskFull,
    GitError,
    GitTimedOut,
    HostAway,
    RefGone,
)
from libs.common.launching.contract import Contract, ExitCode
from services.runner.clone import TRIES, ClonePorts, clone_step
from services.runner.door import TaskDoor
from tests.fakes.clock import FakeClock
from tests.fakes.task_door import running_task_door
from tests.samples import refs, review_request

HEAD, BASE = "a" * 40, "b" * 40
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPEC = review_request(
    HEAD,
    diff_refs=refs(HEAD, BASE),
    limits=Limits(timeout=60),
    expires_at=NOW + timedelta(hours=1),
)


class Cloner:
    """Fails with each error in turn, then clones; `orders` is what it was asked for."""

    def __init__(self, *errors: GitError) -> None:
        self.errors = list(errors)
        self.orders: list[CloneOrder] = []

    async def __call__(self, order: CloneOrder) -> ClonedRepository:
        self.orders.append(order)
        if self.errors:
            raise self.errors.pop(0)
        return ClonedRepository(
            folder=order.folder, head_sha=HEAD, base_sha=BASE, start_sha=BASE, target_sha=BASE
        )


async def run(folder: Path, cloner: Cloner) -> tuple[ExitCode, list[object]]:
    clock = FakeClock(NOW)
    async with running_task_door(SPEC) as door:
        contract = Contract(task_url=door.url, task_token=door.token, work_dir=folder, timeout=60)
        client = TaskDoor(door.url, door.token, clock=clock)
        code = await clone_step(contract, ClonePorts(door=client, clone=cloner, clock=clock))
        return code, list(door.results)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CloneFailed("the clone url must begin with https://"), "clone"),
        (RefGone("fetch target branch topic: no longer on the server"), "clone"),
        (DiskFull("check out: no room left on the disk"), "clone"),
        (AuthFailed("GitLab refused the token"), "auth"),
        (GitTimedOut("fetch: git was not done in time"), "timeout"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_a_clone_that_cannot_succeed_is_a_typed_failure_at_once(tmp_path, error, reason):
    cloner = Cloner(error)

    code, results = await run(tmp_path, cloner)

    assert code == ExitCode.TASK_FAILED
    [failed] = results
    assert isinstance(failed, TaskFailed)
    assert (failed.reason, failed.detail, failed.head_sha) == (reason, str(error), HEAD)
    assert len(cloner.orders) == 1


async def test_a_host_that_comes_back_is_cloned_from(tmp_path):
    away = [HostAway("GitLab did not answer well", delay=0.0, peer="gitlab")] * (TRIES - 1)

    code, results = await run(tmp_path, Cloner(*away))

    assert (code, results) == (ExitCode.DONE, [])


async def test_a_host_that_stays_away_ends_the_task(tmp_path):
    cloner = Cloner(*[HostAway("GitLab did not answer well", delay=0.0, peer="gitlab")] * TRIES)

    code, [failed] = await run(tmp_path, cloner)

    assert code == ExitCode.TASK_FAILED
    assert isinstance(failed, TaskFailed)
    assert failed.reason == "clone"
    assert len(cloner.orders) == TRIES
