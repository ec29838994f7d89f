"""How far a flow of the demo has come, read from the log's history: pure. Called by `run`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from libs.common.events.envelope import Recorded
from libs.common.events.facts import JiraReady, MrOpened, NoteCommand
from libs.common.events.tasks import (
    Refused,
    Result,
    Superseded,
    TaskFailed,
    TaskPublished,
    TaskRequested,
)
from services.ops.screen import told

Name = Literal["review", "command", "issue"]
Belongs = Callable[[str], bool]
"""Whether a task is one of the flow's, by its id."""


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """One of the three; `start` is its fact, `belongs` knows its tasks."""

    name: Name
    belongs: Belongs
    start: type[MrOpened | NoteCommand | JiraReady]

    def published(self, history: Sequence[Recorded]) -> TaskPublished | None:
        """The last word of the flow; a task that was put on another head has none."""
        passed_on = {
            record.event.task_id
            for record in history
            if isinstance(record.event, Superseded) and record.event.next_task_id
        }
        for record in reversed(history):
            event = record.event
            if isinstance(event, TaskPublished) and self.belongs(event.task_id):
                if event.task_id in passed_on:
                    continue
                return event
        return None

    def own(self, history: Sequence[Recorded]) -> list[Recorded]:
        """The records that tell of this flow and of no other."""
        return [
            record
            for record in history
            if isinstance(record.event, self.start)
            or self.belongs(getattr(record.event, "task_id", ""))
        ]

    def why_not(self, history: Sequence[Recorded]) -> str:
        """How far it came, in words."""
        own, end = self.own(history), self.published(history)
        for record in reversed(own):
            match record.event:
                case TaskFailed(reason=reason, detail=detail):
                    return f"the task failed ({reason}): {detail}"
                case Refused(code=code, detail=detail):
                    return f"it was refused ({code}): {detail}".rstrip(": ")
        if end is not None and end.outcome != "posted":
            return f"it ended as {end.outcome}: {end.detail}"
        if not own:
            return _UNHEARD[self.name]
        return f"the last thing seen was: {told(own[-1])[1]}"

    def stages(self, history: Sequence[Recorded]) -> list[tuple[str, float]]:
        """Seconds per stage, by the log's own times and the runner's clock."""
        times, measured = self._times(history)
        spans = [
            ("seen to task", "seen", "requested"),
            ("task to result", "requested", "result"),
            ("result to published", "result", "published"),
            ("all", "seen", "published"),
        ]
        named = [
            (name, (times[end] - times[start]).total_seconds())
            for name, start, end in spans
            if start in times and end in times
        ]
        return named + [(f"  of which {name}", seconds) for name, seconds in measured.items()]

    def _times(self, history: Sequence[Recorded]) -> tuple[dict[str, datetime], dict[str, float]]:
        times: dict[str, datetime] = {}
        measured: dict[str, float] = {}
        for record in self.own(history):
            match record.event:
                case MrOpened() | NoteCommand() | JiraReady():
                    times.setdefault("seen", record.time)
                case TaskRequested():
                    times["requested"] = record.time
                case Result():
                    times["result"] = record.time
                    measured = getattr(record.event, "stages", {})
                case TaskPublished():
                    times["published"] = record.time
        return times, measured


_UNHEARD: dict[Name, str] = {
    "review": "no event reached the log; did the webhook arrive? (ingest.log)",
    "command": "the note did not reach the log; did the webhook arrive? (ingest.log)",
    "issue": "the issue did not reach the log; does the poller run? (ingest.log)",
}


def review() -> Flow:
    return Flow(name="review", start=MrOpened, belongs=lambda task: task.startswith("review-"))


def command() -> Flow:
    """The demo writes one instruction, so every coding task of the merge request is its."""
    return Flow(name="command", start=NoteCommand, belongs=lambda task: task.startswith("coding-"))


def issue() -> Flow:
    return Flow(name="issue", start=JiraReady, belongs=lambda task: task.startswith("coding-"))


def log_to_read(flow: Flow, history: Sequence[Recorded]) -> str:
    """The file that tells more of where the flow stands; Jobs have a folder each in `tasks`."""
    own = flow.own(history)
    if not own:
        return "logs/ingest.log"
    last = own[-1].event
    if isinstance(last, TaskRequested | TaskFailed):
        return "tasks"
    if isinstance(last, Result | TaskPublished):
        return "logs/publisher.log"
    return "logs/reviewer.log" if flow.name == "review" else "logs/coder.log"
