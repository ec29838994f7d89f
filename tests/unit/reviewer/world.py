"""A reviewer with one merge request at head A; used by the tests of its handlers."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

from libs.common import subjects
from libs.common.access import Levels
from libs.common.allowed import allowed
from libs.common.errors import AgentError
from libs.common.events.envelope import AnyEvent, NewEvent, Recorded
from libs.common.events.facts import MrOpened, NoteCommand
from libs.common.events.tasks import (
    DiffRefs,
    Limits,
    Outcome,
    Refused,
    Result,
    TaskPublished,
    TaskRequested,
)
from libs.common.reviewed import Reviewed
from libs.common.spending import Budgets, Spending
from services.reviewer.handlers import on_event
from services.reviewer.ports import Policy, Ports
from tests.fakes.clock import FakeClock
from tests.fakes.gitlab import ALICE, URL, FakeGitLab
from tests.fakes.kv import MemoryKeyValue
from tests.fakes.log import MemoryLog

A, B, BASE = "a" * 40, "b" * 40, "c" * 40


class Sick:
    """A GitLab on which one kind of call fails."""

    def __init__(self, inner: FakeGitLab, call: str, error: AgentError) -> None:
        self._inner = inner
        self._call = call
        self._error = error

    def __getattr__(self, name: str) -> Any:
        if name != self._call:
            return getattr(self._inner, name)

        async def refuse(*_: object) -> None:
            raise self._error

        return refuse


class World:
    """One merge request at head A; log and clock are in memory unless given."""

    def __init__(self, log: Any = None, clock: Any = None) -> None:
        self.clock = clock or FakeClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
        self.log = log or MemoryLog(self.clock)
        self.kv = MemoryKeyValue(self.clock)
        self.budgets = Budgets()
        self.gitlab = FakeGitLab()
        refs = DiffRefs(base_sha=BASE, start_sha=BASE, head_sha=A)
        self.mr = self.gitlab.add_merge_request(refs)
        self._numbers = itertools.count()
        self.woken: list[str] = []
        self.served: list[str] = []
        """GITLAB_PROJECTS; empty: all."""

    async def seen(self, sha: str = A, **fields: Any) -> Recorded:
        """The fact that this head was seen."""
        fact = MrOpened(project_id=42, iid=7, head_sha=sha, why="open", **fields)
        return await self.append(subjects.mr_opened(42, 7, sha), fact)

    async def noted(self, text: str, level: int | None = 30, **fields: Any) -> Recorded:
        """Alice, whose role is `level`, writes a note, and the fact of it; None: a stranger."""
        if level is not None:
            self.gitlab.add_member(42, ALICE, level)
        now = self.clock.now()
        written = self.gitlab.comment(self.mr, text, ALICE, created_at=now, **fields)
        note = written.notes[0]
        fact = NoteCommand(
            project_id=42,
            iid=7,
            note_id=note.id,
            author_id=ALICE.id,
            created_at=now,
            text=text,
            discussion_id=written.id,
            internal=note.internal,
        )
        return await self.append(subjects.note_command(42, 7, note.id), fact)

    async def append(self, subject: str, event: AnyEvent) -> Recorded:
        new = NewEvent(
            subject=subject,
            event=event,
            message_id=f"{subject}-{next(self._numbers)}",
            source="test",
            time=self.clock.now(),
        )
        await self.log.append(new)
        record = await self.log.last(subject)
        assert record is not None
        return record

    async def end(self, result: Result) -> Recorded:
        return await self.append(subjects.task_result(42, 7, result.task_id), result)

    async def publish(self, task_id: str, outcome: Outcome) -> Recorded:
        event = TaskPublished(task_id=task_id, outcome=outcome)
        return await self.append(subjects.task_published(42, 7, task_id), event)

    async def deliver(self, event: Recorded, *, gitlab: Any = None, log: Any = None) -> None:
        """One delivery, as the consumer makes it."""
        await on_event(event, ports=self.ports(gitlab=gitlab, log=log))

    def ports(self, *, gitlab: Any = None, log: Any = None) -> Ports:
        return Ports(
            log=log or self.log,
            gitlab=gitlab or self.gitlab,
            agent=self.gitlab.current_user,
            reviewed=Reviewed(MemoryKeyValue(self.clock)),
            spending=Spending(self.kv, self.budgets),
            clock=self.clock,
            policy=Policy(
                gitlab_url=URL,
                limits=Limits(),
                projects=allowed(self.served),
                levels=Levels(),
            ),
            wake=self.woken.append,
        )

    def requests(self) -> list[TaskRequested]:
        found = [record.event for record in self.log.events]
        return [event for event in found if isinstance(event, TaskRequested)]

    def refusals(self) -> list[Refused]:
        found = [record.event for record in self.log.events]
        return [event for event in found if isinstance(event, Refused)]

    async def history(self) -> list[Recorded]:
        return await self.log.history(subjects.history(42, 7))
