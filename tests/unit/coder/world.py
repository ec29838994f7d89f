"""A small world for the coder's tests: one merge request, people, the log, the Jobs, the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from libs.common import subjects
from libs.common.access import Levels
from libs.common.allowed import allowed
from libs.common.events.envelope import AnyEvent, NewEvent, Recorded
from libs.common.events.facts import JiraReady, MrClosed, NoteCommand
from libs.common.events.tasks import (
    ChangesProposed,
    Limits,
    Result,
    TaskPublished,
    TaskRequested,
)
from libs.common.gitlab.agent import Agent
from libs.common.gitlab.models import User
from libs.common.launching.effects import DoorAddress
from libs.common.launching.launches import Launches
from libs.common.launching.reconciler import Reconciler
from libs.common.launching.slots import Slots
from libs.common.serving import Policy
from libs.common.spending import Budgets, Spending
from services.coder.closing import superseded
from services.coder.handlers import KINDS, on_event
from services.coder.ports import Ports
from services.coder.turns import on_hold
from tests.fakes.clock import START, FakeClock
from tests.fakes.gitlab import ALICE, URL, FakeGitLab, Held
from tests.fakes.kv import MemoryKeyValue
from tests.fakes.launcher import FakeLauncher
from tests.fakes.log import MemoryLog
from tests.samples import refs

A, B, C, D = "a" * 40, "b" * 40, "c" * 40, "d" * 40
BOB = User(id=9, username="bob")


class Killed(BaseException):
    """The process is gone: nothing below it may run any code of its own."""


@dataclass
class Fuse:
    """Counts effects; at the chosen one the process dies, right before or right after it."""

    kill_at: int = 0
    after: bool = False
    count: int = 0
    names: list[str] = field(default_factory=list)


class Fragile:
    """Passes every call on and kills at the n-th one that changes something outside."""

    EFFECTS = frozenset({"create", "append", "update", "delete"})

    def __init__(self, inner: object, fuse: Fuse) -> None:
        self._inner, self._fuse = inner, fuse

    def __getattr__(self, name: str) -> Any:
        work, fuse = getattr(self._inner, name), self._fuse
        if name not in self.EFFECTS:
            return work

        async def call(*given: Any, **named: Any) -> Any:
            fuse.count += 1
            fuse.names.append(name)
            if fuse.count == fuse.kill_at and not fuse.after:
                raise Killed
            done = await work(*given, **named)
            if fuse.count == fuse.kill_at:
                raise Killed
            return done

        return call


@dataclass(kw_only=True)
class Stores:
    """All that lies in NATS; tests with a real one bring their own."""

    clock: Any = field(default_factory=FakeClock)
    log: Any = None
    kv: Any = None
    locks: Any = None

    def __post_init__(self) -> None:
        self.log = self.log or MemoryLog(self.clock)
        self.kv = self.kv or MemoryKeyValue(self.clock)
        self.locks = self.locks or MemoryKeyValue(self.clock)


class World:
    """Fakes that outlive any number of coder processes."""

    def __init__(
        self, budgets: Budgets | None = None, stores: Stores | None = None, **mr: Any
    ) -> None:
        stores = stores or Stores()
        self.clock, self.log = stores.clock, stores.log
        self.kv, self.locks = stores.kv, stores.locks
        self.gitlab = FakeGitLab()
        self.launcher = FakeLauncher()
        self.budgets = budgets or Budgets()
        self.mr: Held = self.gitlab.add_merge_request(refs(A, D), **mr)
        self.gitlab.add_member(42, ALICE, 30)
        self.gitlab.add_member(42, BOB, 30)
        self.aged(self.mr)
        if isinstance(self.clock, FakeClock):
            self.clock.advance(60)

    def aged(self, held: Held, at: datetime = START - timedelta(hours=1)) -> None:
        held.versions[:] = [msgspec.structs.replace(one, created_at=at) for one in held.versions]

    def ports(
        self, fuse: Fuse | None = None, wake: Callable[[str], None] = lambda _: None
    ) -> Ports:
        """The ports of a new process."""
        fragile: Callable[[Any], Any] = lambda it: it if fuse is None else Fragile(it, fuse)  # noqa: E731
        return Ports(
            log=fragile(self.log),
            gitlab=self.gitlab,
            agent=Agent(self.gitlab, ""),
            spending=Spending(fragile(self.kv), self.budgets),
            clock=self.clock,
            policy=Policy(
                gitlab_url=URL,
                limits=Limits(timeout=600),
                projects=allowed([]),
                levels=Levels(),
            ),
            wake=wake,
        )

    def reconciler(self) -> Reconciler:
        return Reconciler(
            log=self.log,
            launcher=self.launcher,
            slots=Slots(self.locks, 20),
            launches=Launches(self.kv),
            clock=self.clock,
            kinds=frozenset(KINDS),
            source="coder",
            policy=superseded,
            hold=on_hold,
            door=DoorAddress(url="http://127.0.0.1:1", secret="s"),
        )

    # --- what people do ---------------------------------------------------------------

    async def note(self, text: str, author: User = ALICE, **fields: Any) -> Recorded:
        """A note in the merge request and its event in the log."""
        held = fields.pop("held", self.mr)
        self.gitlab.users[author.id] = author
        at = fields.pop("created_at", self.clock.now())
        found = self.gitlab.comment(held, text, author, created_at=at, **fields)
        mr, written = held.merge_request, found.notes[0]
        event = NoteCommand(
            project_id=mr.project_id,
            iid=mr.iid,
            note_id=written.id,
            author_id=author.id,
            created_at=at,
            text=text,
            discussion_id=found.id,
            author_username=author.username,
        )
        return await self.append(subjects.note_command(mr.project_id, mr.iid, written.id), event)

    async def ready(self, change_id: str = "10457", **changes: Any) -> Recorded:
        known: dict[str, Any] = {
            "issue_key": "SHOP-12",
            "change_id": change_id,
            "status": "AI Ready",
            "account_id": "712020:alice",
            "account_name": "Alice Ash",
            "summary": "Accept vouchers",
            "description": "Customers want them.",
            "project_id": 42,
        }
        event = JiraReady(**(known | changes))
        return await self.append(subjects.jira_ready("SHOP", 12, change_id), event)

    async def push(self, sha: str) -> None:
        """By a person, now."""
        self.gitlab.push(self.mr, sha, created_at=self.clock.now())

    async def closed(self) -> Recorded:
        self.gitlab.change(self.mr, state="closed")
        event = MrClosed(project_id=42, iid=7, state="closed")
        return await self.append(subjects.mr_closed(42, 7, "closed"), event)

    # --- what runner and publisher do ---------------------------------------------------

    async def proposed(self, request: TaskRequested, **changes: Any) -> Recorded:
        result = ChangesProposed(
            task_id=request.task_id,
            head_sha=request.head_sha,
            subject="Do it",
            summary="Done.",
            files=("a.py",),
            patch=b"diff",
        )
        return await self.ended(request, msgspec.structs.replace(result, **changes))

    async def ended(self, request: TaskRequested, result: Result) -> Recorded:
        subject = subjects.task_result(request.scope, request.ref, request.task_id)
        return await self.append(subject, result)

    async def published(self, request: TaskRequested, commit_sha: str = "") -> Recorded:
        """The publisher pushes, then says so."""
        if commit_sha:
            self.gitlab.push(self.mr, commit_sha, created_at=self.clock.now())
        return await self.told(request, commit_sha)

    async def told(self, request: TaskRequested, commit_sha: str = "") -> Recorded:
        push = request.push
        event = TaskPublished(
            task_id=request.task_id,
            outcome="posted" if commit_sha else "refused",
            commit_sha=commit_sha,
            branch=push.branch if push else "",
        )
        subject = subjects.task_published(request.scope, request.ref, request.task_id)
        return await self.append(subject, event)

    async def append(self, subject: str, event: AnyEvent) -> Recorded:
        created = await self.log.create(
            NewEvent(
                subject=subject,
                event=event,
                message_id=subject,
                source="test",
                time=self.clock.now(),
            )
        )
        return created.record

    # --- what the coder does, and what is seen ------------------------------------------

    async def deliver(self, record: Recorded) -> None:
        """Twice, as everything is."""
        for _ in range(2):
            await on_event(record, ports=self.ports())

    async def say(self, text: str, author: User = ALICE, **fields: Any) -> TaskRequested:
        """A note, delivered; its request."""
        record = await self.note(text, author, **fields)
        await self.deliver(record)
        return self.requests()[-1]

    async def run_jobs(self) -> list[str]:
        """Task ids of the Jobs that run after a pass of the reconciler."""
        await self.reconciler().full_pass()
        return [job.task_id for job in self.launcher.running.values()]

    def requests(self) -> list[TaskRequested]:
        return [r.event for r in self.log.events if isinstance(r.event, TaskRequested)]

    def results(self) -> list[Result]:
        return [r.event for r in self.log.events if isinstance(r.event, Result)]

    def result(self, request: TaskRequested) -> Result | None:
        return next((r for r in self.results() if r.task_id == request.task_id), None)
