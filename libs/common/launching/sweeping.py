"""Removes what nobody needs any more: folders of tasks that ended, artifacts that no event names.

Runs beside the reconciler's passes. What those repair themselves (tasks past their limit, Jobs
without a task, tasks whose Job vanished) is only named here, so that all is counted alike.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

import msgspec
import structlog

from libs.common import metrics, subjects
from libs.common.clock import Clock
from libs.common.errors import AgentError
from libs.common.events.tasks import TaskFailed, TaskRequested
from libs.common.launching.plan import Action, CancelJob, EndTask, StartJob

SWEEP_SECONDS = 600.0
FIRST_SECONDS = 30.0
"""After a start, when there is more urgent work."""
FOLDER_AGE = timedelta(hours=1)
ARTIFACT_AGE = timedelta(days=1)
"""An event may name an artifact long after it was put: results are tried again for hours."""
_OWNER = re.compile(r"(?:\.gone-)?(?:gca-[a-z]+|push)-([0-9a-f]{20})(?:-[0-9a-f]+)?")
What = Literal["clone_folder", "state_folder"]
log = structlog.get_logger()


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder of one task on this machine; `running` when a Job uses it right now."""

    name: str
    what: What
    changed_at: datetime
    running: bool = False


class Folders(Protocol):
    """Folders of tasks below the configured ones; every call may raise `Temporary`."""

    async def found(self) -> list[Folder]: ...

    async def remove(self, folder: Folder) -> bool:
        """Remove it, unless a Job uses it by now; whether it is gone."""
        ...


class Artifacts(Protocol):
    """The store of large bodies."""

    async def remove(self, age: timedelta) -> int:
        """Remove those older than `age` that no event names; how many."""
        ...


class Log(Protocol):
    """The event log, as far as names of subjects."""

    async def subjects(self, *filters: str) -> set[str]: ...


@dataclass(kw_only=True)
class Sweeper:
    """One per reconciler; several over the same folders and store are harmless."""

    log: Log
    folders: Folders
    artifacts: Artifacts
    clock: Clock
    every: float = SWEEP_SECONDS

    async def run(self, stopping: asyncio.Event) -> None:
        """Sweep now and then until `stopping`; a sweep that failed is made again later."""
        wait = min(FIRST_SECONDS, self.every)
        while not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait * random.uniform(0.8, 1.2)):  # noqa: S311  # jitter
                    await stopping.wait()
                    return
            wait = self.every
            try:
                await self.sweep()
            except AgentError as error:
                log.warning("sweeping failed, it is tried again", why=str(error))
            except Exception:
                log.exception("sweeping failed, it is tried again")

    async def sweep(self) -> Counter[str]:
        """One look at everything; how many of each kind were removed."""
        swept: Counter[str] = Counter()
        try:
            for folder in unneeded(
                await self.folders.found(), await self._open(), self.clock.now()
            ):
                swept[folder.what] += await self.folders.remove(folder)
            swept["artifact"] = await self.artifacts.remove(ARTIFACT_AGE)
        finally:
            for what, number in swept.items():
                metrics.count("swept", number, what=what)
            log.info("swept", **{what: swept[what] for what in KINDS})
        return swept

    async def _open(self) -> set[str]:
        requested, over = "task.requested.", "task.result."
        asked = await self.log.subjects(f"{requested}>")
        ended = await self.log.subjects(f"{over}>")
        tails = {name.removeprefix(requested) for name in asked}
        tails -= {name.removeprefix(over) for name in ended}
        return {subjects.last_token(tail) for tail in tails}


KINDS = ("clone_folder", "state_folder", "artifact")
"""What the sweeper itself removes; `repaired` has the other words of the metric `swept`."""


def unneeded(folders: Iterable[Folder], open_tasks: Collection[str], now: datetime) -> list[Folder]:
    """Old folders that neither a running Job nor an open task (by id) has a use for."""
    needed = {hashlib.sha256(task_id.encode()).hexdigest()[:20] for task_id in open_tasks}
    return [
        folder
        for folder in folders
        if (owner := _OWNER.fullmatch(folder.name)) is not None
        and owner[1] not in needed
        and not folder.running
        and now - folder.changed_at >= FOLDER_AGE
    ]


def repaired(action: Action, requests: Mapping[str, TaskRequested]) -> str | None:
    """What an action of the reconciler mended; None for the ordinary course of things."""
    match action:
        case EndTask(result=TaskFailed(reason="timeout")):
            return "overdue_task"
        case CancelJob() if action.task_id not in requests:
            return "job_without_task"
        case StartJob() if action.seen.count and not action.replace:
            return "task_without_job"
        case _:
            return None
