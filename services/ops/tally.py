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
    Answered,
    ChangesProposed,
    NothingToDo,
    Refused,
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
    """What was counted for a project (of Jira: by its key), a day, or all."""

    reviews: int = 0
    answers: int = 0
    """To questions; the help is none."""
    changes: int = 0
    """Sessions that handed in code; `commits` are those of them that reached a branch."""
    unchanged: int = 0
    """Sessions that were to write code and found nothing to do."""
    failures: int = 0
    refused: int = 0
    superseded: int = 0
    findings: int = 0
    commits: int = 0
    merge_requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0

    @property
    def done(self) -> int:
        """Tasks that ended as they were meant to."""
        return self.reviews + self.answers + self.changes + self.unchanged


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


_Worked = ReviewDone | Answered | ChangesProposed | NothingToDo
_Ended = _Worked | TaskFailed | Refused | Superseded


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
        self.refusals: Counter[str] = Counter()
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
            case Answered(help=True):
                self._open.pop(event.task_id, None)
            case Result() if isinstance(event, _Ended):
                if not event.task_id.startswith("echo-"):
                    self._end(event, record)
            case TaskPublished():
                self._published(event, record)
            case _:
                pass

    def _end(self, event: _Ended, record: Recorded) -> None:
        for numbers in self._numbers(record):
            _count(numbers, event)
        if isinstance(event, TaskFailed):
            self.reasons[event.reason] += 1
        if isinstance(event, Refused):
            self.refusals[event.code] += 1
        if isinstance(event, _Worked | TaskFailed):
            for name, seconds in event.stages.items():
                self._stage(_of_kind(event.task_id, name), seconds)
        task = self._open.get(event.task_id)
        if task is not None and not isinstance(event, Superseded | Refused):
            task.ended = record.time
            seconds = (record.time - task.requested).total_seconds()
            self._stage(_of_kind(event.task_id, "task to result"), seconds)

    def _published(self, event: TaskPublished, record: Recorded) -> None:
        if event.commit_sha or event.merge_request_iid:
            for numbers in self._numbers(record):
                numbers.commits += bool(event.commit_sha)
                numbers.merge_requests += bool(event.merge_request_iid)
        task = self._open.pop(event.task_id, None)
        if task is not None and task.ended is not None and event.outcome == "posted":
            seconds = (record.time - task.ended).total_seconds()
            self._stage(_of_kind(event.task_id, "result to posted"), seconds)

    def _numbers(self, record: Recorded) -> list[Numbers]:
        project, day = record.subject.split(".")[2], record.time.astimezone().date()
        return [
            self.all,
            self.projects.setdefault(project, Numbers()),
            self.days.setdefault(day, Numbers()),
        ]

    def _stage(self, name: str, seconds: float) -> None:
        self.stages.setdefault(name, Stage()).add(max(seconds, 0.0), self._chance)


def _of_kind(task_id: str, stage: str) -> str:
    """The stage by its name alone for reviews; sessions of other kinds take other times."""
    kind = task_id.partition("-")[0]
    return stage if kind == "review" else f"{kind} {stage}"


def _count(numbers: Numbers, event: _Ended) -> None:
    match event:
        case ReviewDone():
            numbers.reviews += 1
            numbers.findings += len(event.findings)
        case Answered():
            numbers.answers += 1
        case ChangesProposed():
            numbers.changes += 1
        case NothingToDo():
            numbers.unchanged += 1
        case TaskFailed():
            numbers.failures += 1
        case Refused():
            numbers.refused += 1
        case Superseded():
            numbers.superseded += 1
    if isinstance(event, _Worked):
        numbers.input_tokens += event.usage.input_tokens
        numbers.output_tokens += event.usage.output_tokens
        numbers.cost += event.usage.cost
