"""Runs the three flows of the demo and waits until each has shown its result. Called by `up`."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any

from libs.common import subjects
from libs.common.errors import AgentError
from libs.common.events.envelope import Recorded
from libs.common.events.log import EventLog
from libs.common.events.tasks import TaskPublished
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.log import JetStreamLog
from services.ops.demo import flows, results
from services.ops.demo.flows import Flow
from services.ops.demo.results import Shown
from services.ops.places import Places
from services.ops.show import Screen
from services.ops.simulated import Simulated

PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 0.1
ASKER = "dora"
"""A Developer of the demo project."""
INSTRUCTION = "add a test for the vouchers"


@dataclass
class Outcome:
    """How one flow ended; `trouble` is empty when it has shown its result."""

    flow: Flow
    shown: Shown | None = None
    stages: list[tuple[str, float]] = field(default_factory=list)
    trouble: str = ""


class Demo:
    """The flows against one running system; each is waited for at most `PATIENCE_SECONDS`."""

    def __init__(
        self,
        connection: Connection,
        simulated: Simulated,
        screen: Screen,
        places: Places,
        stopping: asyncio.Event,
    ) -> None:
        self._log: EventLog = JetStreamLog(connection)
        self._simulated = simulated
        self._screen = screen
        self._places = places
        self._stopping = stopping

    async def run(self, opened: dict[str, Any]) -> int:
        """0 when every flow has shown its result, else 1.

        The command comes after the review: a commit makes a new head, and a review of the one
        before it would not be posted any more.
        """
        project_id, iid = int(opened["project_id"]), int(opened["iid"])
        issue = asyncio.create_task(self._issue())
        try:
            ends = [await self._review(project_id, iid)]
            ends.append(await self._command(project_id, iid))
            ends.append(await issue)
        finally:
            issue.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await issue
        return self._tell(ends)

    async def _review(self, project_id: int, iid: int) -> Outcome:
        return await self._shown(flows.review(), subjects.history(project_id, iid))

    async def _command(self, project_id: int, iid: int) -> Outcome:
        if self._stopping.is_set():
            return Outcome(flows.command(), trouble="it was not started")
        path = f"projects/{project_id}/merge_requests/{iid}/comment"
        await self._simulated.gitlab(path, {"body": f"/copilot {INSTRUCTION}", "author": ASKER})
        self._screen.done(f"wrote `/copilot {INSTRUCTION}` in the demo merge request")
        return await self._shown(flows.command(), subjects.history(project_id, iid))

    async def _issue(self) -> Outcome:
        moved = await self._simulated.start_issue()
        self._screen.done(f"moved the demo issue to {moved['status']}  {moved['web_url']}")
        key, _, number = str(moved["key"]).rpartition("-")
        return await self._shown(flows.issue(), subjects.history(key, number))

    async def _shown(self, flow: Flow, pattern: str) -> Outcome:
        """Wait for the flow's last word, and look at what people see of it."""
        history, end = await self._end(flow, pattern)
        if end is None or end.outcome != "posted":
            log = self._places.state / flows.log_to_read(flow, history)
            return Outcome(flow, trouble=f"{flow.why_not(history)} -> read {log}")
        try:
            shown = await results.shown(flow.name, end, self._simulated, history)
        except AgentError as error:
            return Outcome(flow, trouble=str(error))
        return Outcome(flow, shown, flow.stages(history), shown.missing)

    async def _end(self, flow: Flow, pattern: str) -> tuple[list[Recorded], TaskPublished | None]:
        history: list[Recorded] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not self._stopping.is_set():
                    history = await self._log.history(pattern)
                    end = flow.published(history)
                    if end is not None:
                        return history, end
                    await asyncio.sleep(LOOK_SECONDS)
        return history, None

    def _tell(self, ends: list[Outcome]) -> int:
        for end in ends:
            if end.shown is not None:
                self._screen.text("")
                self._screen.text(end.shown.text)
        self._screen.text("")
        for end in ends:
            if end.trouble:
                self._screen.trouble(f"the {end.flow.name} did not come: {end.trouble}")
            elif end.shown is not None:
                self._screen.text(f"{end.flow.name:<9} {end.shown.summary}")
        self._screen.text("")
        for line in _table(ends):
            self._screen.text(line)
        return 1 if any(end.trouble for end in ends) else 0


def _table(ends: list[Outcome]) -> list[str]:
    """Seconds per stage, a column per flow."""
    timed = [end for end in ends if end.stages]
    names = list(dict.fromkeys(name for end in timed for name, _ in end.stages))
    lines = [f"  {'seconds':<24}" + "".join(f"{end.flow.name:>10}" for end in timed)]
    for name in names:
        cells = [dict(end.stages).get(name) for end in timed]
        row = "".join(f"{cell:10.1f}" if cell is not None else " " * 10 for cell in cells)
        lines.append(f"  {name:<24}{row}")
    return lines if timed else []
