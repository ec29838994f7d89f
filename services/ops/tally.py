"""Counts over many tasks, one event at a time, so that memory does not grow with the log: pure.

Used by `stats`. A task's request, end and publication meet here by its id; only tasks between two
of them are remembered, and of those the newest.
"""

from __future__ import annotations

import random
from collections import Counter, OrderedDict
from datetime import date, datetime

import msgspec

from libs.common.events.envelope import Recorded
from libs.common.events.tasks import (
    Result,
    ReviewDone,
    Superseded,
    TaskFailed,
    TaskPublished,
    TaskRequested,
)

MOST_OPEN = 20_000
"""Tasks remembered until they are published; older ones lose their seconds, not their count."""
SAMPLE = 1_000
"""Durations kept per stage; more are sampled (reservoir), so percentiles are estimates then."""


class Numbers(msgspec.Struct, kw_only=True):
    """What was counted for a project, a day, or all."""

    reviews: int = 0
    failures: int = 0
    superseded: int = 0
    findings: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0


class Stage(msgspec.Struct, kw_only=True):
    """Durations of one stage, in seconds."""

    count: int = 0
    total: float = 0.0
    longest: float = 0.0
    kept: list[float] = []

    def add(self, seconds: float, chance: random.Random) -> None:
        self.count += 1
        self.total += seconds
        self.longest = max(self.longest, seconds)
        if len(self.kept) < SAMPLE:
            self.kept.append(seconds)
        elif (place := chance.randrange(self.count)) < SAMPLE:
            self.kept[place] = seconds

    def percentile(self, share: float) -> float:
        """Of what was kept; 0 without any."""
        ordered = sorted(self.kept)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


class _Open(msgspec.Struct):
    requested: datetime
    ended: datetime | None = None


class Tally:
    """Fed with `task.*` events in the order of the log."""

    def __init__(self) -> None:
        self.all = Numbers()
        self.projects: dict[str, Numbers] = {}
        self.days: dict[date, Numbers] = {}
        self.reasons: Counter[str] = Counter()
        self.stages: dict[str, Stage] = {}
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._chance = random.Random(0)  # noqa: S311  # samples, guards nothing

    def add(self, record: Recorded) -> None:
        event = record.event
        match event:
            case TaskRequested() if event.kind != "echo":
                self._open[event.task_id] = _Open(record.time)
                if len(self._open) > MOST_OPEN:
                    self._open.popitem(last=False)
            case ReviewDone() | TaskFailed() | Superseded():
                if not event.task_id.startswith("echo-"):
                    self._end(event, record)
            case TaskPublished():
                self._published(event, record)
            case _:
                pass

    def _end(self, event: Result, record: Recorded) -> None:
        for numbers in self._numbers(record):
            _count(numbers, event)
        if isinstance(event, TaskFailed):
            self.reasons[event.reason] += 1
        if isinstance(event, ReviewDone | TaskFailed):
            for name, seconds in event.stages.items():
                self._stage(name, seconds)
        task = self._open.get(event.task_id)
        if task is not None and not isinstance(event, Superseded):
            task.ended = record.time
            self._stage("task to result", (record.time - task.requested).total_seconds())

    def _published(self, event: TaskPublished, record: Recorded) -> None:
        task = self._open.pop(event.task_id, None)
        if task is not None and task.ended is not None and event.outcome == "posted":
            self._stage("result to posted", (record.time - task.ended).total_seconds())

    def _numbers(self, record: Recorded) -> list[Numbers]:
        project, day = record.subject.split(".")[2], record.time.astimezone().date()
        return [
            self.all,
            self.projects.setdefault(project, Numbers()),
            self.days.setdefault(day, Numbers()),
        ]

    def _stage(self, name: str, seconds: float) -> None:
        self.stages.setdefault(name, Stage()).add(max(seconds, 0.0), self._chance)


def _count(numbers: Numbers, event: Result) -> None:
    match event:
        case ReviewDone():
            numbers.reviews += 1
            numbers.findings += len(event.findings)
            numbers.input_tokens += event.usage.input_tokens
            numbers.output_tokens += event.usage.output_tokens
            numbers.cost += event.usage.cost
        case TaskFailed():
            numbers.failures += 1
        case Superseded():
            numbers.superseded += 1
        case _:
            pass
