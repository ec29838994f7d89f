"""The system installed in a cluster, for stories: what people do, and what became of it.

Shares its questions to the log with the stories on one machine (`tests.e2e.system.System`).
"""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from libs.common import subjects
from libs.common.errors import Temporary
from libs.common.events.envelope import Recorded
from libs.common.events.tasks import TaskPublished
from tests.cluster.helm import CHARTS, Helm
from tests.cluster.kubectl import COMPONENT, PART_OF, Kubectl
from tests.cluster.people import GitLab, IssueRef, Jira, NoteRef, Opened, Peer
from tests.e2e.system import TRIGGER_STATUS, System

SERVICES = ("ingest", "reviewer", "coder", "publisher")
PATIENCE = 240.0
"""Seconds for one task, its pod included, on a machine that has much else to do."""
RELEASE = "gca"
STORY = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="session"),
    # nats-py 2.16 leaves the old socket to the garbage collector when it connects again, which NATS
    # killed in the cluster makes it do: a ResourceWarning in whichever test runs then.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
"""Marks of all tests here: they share one system, and so one event loop."""


@dataclass
class Installed(System):
    """A release of the stack with simulators beside it; `values` are those of the release."""

    kubectl: Kubectl = field(kw_only=True)
    helm: Helm = field(kw_only=True)
    values: dict[str, Any] = field(kw_only=True)
    logins: dict[str, str] = field(kw_only=True)
    gitlab: GitLab
    jira: Jira = field(kw_only=True)
    model: Peer

    # --- what became of it ------------------------------------------------------------

    async def history(self, about: Opened | IssueRef) -> list[Recorded]:
        """All events about it; for a minute, NATS or the way to it may be away."""
        if isinstance(about, IssueRef):
            key, _, number = about.key.rpartition("-")
            pattern = subjects.history(key, number)
        else:
            pattern = subjects.history(about.project.id, about.iid)
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(Temporary):
                    return await self.log.history(pattern)
                await asyncio.sleep(0.5)

    async def answered(
        self, mr: Opened, text: str, outcome: str = "posted", *, by: str = ""
    ) -> tuple[TaskPublished, str]:
        """Write a command; the record and the text of the one reply in its thread."""
        note = await self.gitlab.comment(mr, text, by)
        return await self.answer(mr, note, outcome)

    async def answer(
        self, mr: Opened, note: NoteRef, outcome: str = "posted", *, seconds: float = PATIENCE
    ) -> tuple[TaskPublished, str]:
        record = await self.answer_to(mr, note, seconds=seconds)
        said = await self.gitlab.said(mr, note)
        assert (outcome, 1) == (record.outcome, len(said)), (record, said)
        return record, said[0]

    async def issue(self, summary: str, description: str) -> IssueRef:
        """An issue of the mapped project, moved to the trigger status."""
        issue = await self.jira.issue("PROJ", summary, description)
        await self.jira.move(issue, TRIGGER_STATUS)
        return issue

    # --- Jobs and services ------------------------------------------------------------

    async def jobs(self) -> list[dict[str, Any]]:
        return await self.kubectl.get("jobs", f"{COMPONENT}=runner")

    async def pod_of(
        self, task_id: str, when: Callable[[dict[str, Any]], bool] = lambda _: True
    ) -> dict[str, Any]:
        """The pod of this task, once it is there and as wanted."""

        async def found() -> dict[str, Any] | None:
            for pod in await self.kubectl.pods("runner"):
                if _task_of(pod) == task_id and when(pod):
                    return pod
            return None

        pod = await self.kubectl.until(found, f"the pod of {task_id}", seconds=120)
        assert isinstance(pod, dict)
        return pod

    async def task_of(self, about: Opened | IssueRef, index: int = 0) -> str:
        """The id of the task that was asked for here, once it is."""
        asked = await self.until(
            lambda: self._requested(about, index), f"task {index} of {about}", seconds=60
        )
        assert isinstance(asked, str)
        return asked

    async def _requested(self, about: Opened | IssueRef, index: int) -> str:
        found = await self.requested(about)
        return found[index].task_id if len(found) > index else ""

    async def configure(self, changes: dict[str, Any], *, wait: bool = True) -> str:
        """`helm upgrade` with these values over the release's own.

        With `wait`, until the pods of before are gone: they work on, by the old values.
        """
        values = merged(self.values, changes)
        said = await self.helm.install(RELEASE, CHARTS / "stack", values, wait=wait)
        if wait:
            await self.healthy()
            await self.kubectl.until(self._none_leaves, "pods of before to go", seconds=120)
        return said

    async def healthy(self, seconds: float = 240) -> None:
        """Wait until all services are ready."""
        await self.kubectl.rolled_out(*(f"gca-{name}" for name in SERVICES), seconds=seconds)

    async def _none_leaves(self) -> bool:
        found = [
            pod
            for name in SERVICES
            for pod in await self.kubectl.get("pods", PART_OF, f"{COMPONENT}={name}")
        ]
        return not any("deletionTimestamp" in pod["metadata"] for pod in found)


def _task_of(pod: dict[str, Any]) -> str:
    return str(pod["metadata"].get("annotations", {}).get("gca/task-id", ""))


def is_running(pod: dict[str, Any]) -> bool:
    """Whether the step `run` of a Job's pod is under way."""
    states = pod["status"].get("containerStatuses", [])
    return any(one["name"] == "run" and "running" in one["state"] for one in states)


def merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Values with changes over them, as helm takes several files."""
    found = dict(values)
    for name, change in changes.items():
        old = found.get(name)
        both = isinstance(old, dict) and isinstance(change, dict)
        found[name] = merged(old, change) if both else change
    return found


class Seen(io.StringIO):
    """Stands for the screen of `gca up`: where to look is all that it can tell at once."""

    def getvalue(self) -> str:
        return "pods, events and logs are in the folder that the failed test names"
