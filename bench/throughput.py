"""Reviews a second through the whole system when the session itself takes no time.

The system is the one of the tests under `kill -9`, with nothing killed: real services, launcher,
supervisor and task door, and in place of the runner a script that hands in a fixed result.
"""

from __future__ import annotations

import asyncio
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench.children import ROOT
from libs.common.events.facts import MrOpened
from libs.common.events.tasks import TaskPublished
from libs.common.jetstream.inspection import scan
from libs.common.jetstream.topology import EVENTS
from tests.chaos.world import PATIENCE, World, running_world
from tests.simulators.gitlab import Project

_JOB = """
import sys
sys.path.insert(0, {folder!r})
import instant_runner
instant_runner.FINDINGS = 0
instant_runner.LONGEST_SESSION = 0
instant_runner.main()
"""
_PYTHON = """#!/bin/sh
# {folder}
if [ "$2" = services.runner ]; then
  [ "$3" = clone ] && exit 0
  exec {python} -I -S -c {job} {folder}
fi
exec {python} "$@"
"""


class Throughput(msgspec.Struct, frozen=True, kw_only=True):
    """`seconds` from the first webhook's event to the last review's record."""

    reviews: int
    events: int
    slots: int
    seconds: float


async def measure(folder: Path, *, reviews: int) -> Throughput:
    """So many merge requests are there, then all their webhooks come."""
    async with running_world(folder) as world:
        _make_jobs_instant(world.folder)
        project = world.gitlab.create_project("bench/app", files={"README.md": "# App\n"})
        world.gitlab.hold_webhooks()
        for number in range(reviews):
            await _opened(world, project, f"topic{number}")
        before = await _count(world, ">")
        await world.gitlab.release_webhooks()
        await _until_published(world, reviews)
        events = await _count(world, ">") - before
        began, ended = await _times(world)
    return Throughput(
        reviews=reviews,
        events=events,
        slots=int(PATIENCE["MAX_CONCURRENT_TASKS"]),
        seconds=(ended - began).total_seconds(),
    )


def _make_jobs_instant(folder: Path) -> None:
    """The python that Jobs are started with; it is the real one for all but the runner's steps."""
    job = _JOB.format(folder=str(ROOT / "tests" / "chaos"))
    text = _PYTHON.format(
        folder=shlex.quote(str(folder)), python=shlex.quote(sys.executable), job=shlex.quote(job)
    )
    (folder / "python").write_text(text)


async def _opened(world: World, project: Project, branch: str) -> None:
    world.gitlab.commit(project, branch=branch, files={f"{branch}.txt": "words\n"})
    await world.gitlab.open_merge_request(project, source_branch=branch)


async def _until_published(world: World, count: int) -> None:
    async with asyncio.timeout(60 + 5 * count):
        while await _count(world, "task.published.>") < count:  # noqa: ASYNC110  others append
            await asyncio.sleep(0.2)


async def _count(world: World, subject: str) -> int:
    info = await world.connection.api(f"STREAM.INFO.{EVENTS}", {"subjects_filter": subject})
    return sum((info["state"].get("subjects") or {}).values())


async def _times(world: World) -> tuple[datetime, datetime]:
    """When the first webhook's event was logged, and the last review's record."""
    began: list[datetime] = []
    ended: list[datetime] = []
    async for record in scan(world.connection, ">", datetime.fromtimestamp(0, UTC)):
        if isinstance(record.event, MrOpened):
            began.append(record.time)
        if isinstance(record.event, TaskPublished):
            if record.event.outcome != "posted":
                raise RuntimeError(f"a review was not posted: {record.event}")
            ended.append(record.time)
    return min(began), max(ended)
