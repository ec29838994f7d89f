"""A small world for the publisher's tests: one merge request, one task, fakes that keep state."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from libs.common import subjects
from libs.common.diff import Refusal, line_text, locate, parse_diff
from libs.common.errors import Temporary
from libs.common.events.envelope import AnyEvent, NewEvent, Recorded
from libs.common.events.tasks import (
    DiffRefs,
    Finding,
    ReviewDone,
    TaskPublished,
    TaskRequested,
)
from libs.common.git.commit import Signature
from libs.common.reviewed import Reviewed
from services.publisher.firewall import Policy
from services.publisher.handlers import on_event
from services.publisher.ports import Ports
from services.publisher.rules import Rules
from tests.fakes.clock import FakeClock
from tests.fakes.gitlab import FakeGitLab, Held
from tests.fakes.jira import FakeJira
from tests.fakes.kv import MemoryKeyValue
from tests.fakes.log import MemoryLog
from tests.samples import review_request
from tests.unit.publisher.repository import MemoryArtifacts, MemoryRepository

AUTHOR = Signature(name="Copilot Agent", email="bot@example.com")
BASE, HEAD = "b" * 40, "a" * 40
REFS = DiffRefs(base_sha=BASE, start_sha=BASE, head_sha=HEAD)
TASK = f"review-42-7-{HEAD[:16]}-0"
DIFF = """diff --git a/a.py b/a.py
index 1111111..2222222 100644
--- a/a.py
+++ b/a.py
@@ -1,4 +1,5 @@
 import os
-old = 1
+new = 1
+more = 2
 def f():
     return 0
"""


class Killed(BaseException):
    """The process is gone: nothing below it may run any code of its own."""


class _Never:
    """A lease that is never lost."""

    def check(self) -> None:
        pass


@dataclass
class MemoryLeases:
    """Leases of one process; `free` is what time does to the leases of a dead one."""

    taken: set[str] = field(default_factory=set)

    @contextlib.asynccontextmanager
    async def held(self, key: str, *, ttl: int, wait: float) -> AsyncIterator[_Never]:  # noqa: ARG002
        if key in self.taken:
            raise Temporary(f"somebody else is at {key}")
        self.taken.add(key)
        try:
            yield _Never()
        finally:
            self.taken.discard(key)


class Fragile:
    """Passes every call on and kills after the n-th one that could change something outside."""

    def __init__(self, inner: object, fuse: Fuse) -> None:
        self._inner = inner
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        work = getattr(self._inner, name)

        async def call(*given: Any, **named: Any) -> Any:
            self._fuse.before(name)
            done = await work(*given, **named)
            self._fuse.after(name)
            return done

        return call


@dataclass
class Fuse:
    """Counts effects; at the chosen one the process dies, right before or right after it."""

    kill_at: int | None = None
    when: str = "after"
    count: int = 0
    names: list[str] = field(default_factory=list)

    def before(self, name: str) -> None:
        self.count += 1
        self.names.append(name)
        if self.count == self.kill_at and self.when == "before":
            raise Killed

    def after(self, _: str) -> None:
        if self.count == self.kill_at and self.when == "after":
            raise Killed


class World:
    """Fakes that outlive any number of publisher processes."""

    def __init__(self, **rules: Any) -> None:
        self.clock = FakeClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
        self.log = MemoryLog(self.clock)
        self.gitlab = FakeGitLab()
        self.kv = MemoryKeyValue(self.clock)
        self.mr: Held = self.gitlab.add_merge_request(REFS, diff=DIFF)
        self.jira: FakeJira | None = FakeJira()
        self.issue = self.jira.add_issue(status="AI Ready", summary="Add tax")
        self.repository = MemoryRepository(self.gitlab)
        self.artifacts = MemoryArtifacts()
        self.rules = Rules(author=AUTHOR, clones=Path("clones"), **rules)

    def ports(self, fuse: Fuse | None = None) -> Ports:
        """The ports of a new process."""
        fragile: Callable[[Any], Any] = (
            (lambda it: it) if fuse is None else (lambda it: Fragile(it, fuse))
        )
        return Ports(
            log=fragile(self.log),
            gitlab=fragile(self.gitlab),
            jira=fragile(self.jira) if self.jira else None,
            repository=fragile(self.repository),
            artifacts=self.artifacts,
            rules=self.rules,
            leases=MemoryLeases(),
            reviewed=Reviewed(fragile(self.kv)),
            clock=self.clock,
            policy=Policy(
                allowed_hosts=frozenset({"gitlab.test", "jira.test"}), secrets=("glpat-canary",)
            ),
        )

    async def requested(self, **changes: Any) -> TaskRequested:
        expires_at = self.clock.now() + timedelta(hours=6)
        request = review_request(HEAD, **({"expires_at": expires_at} | changes))
        await self.append(_subject("requested", request), request)
        return request

    async def started(self, request: TaskRequested) -> Recorded:
        """The event of the request, for tasks that show that they began."""
        return await self.append(_subject("requested", request), request)

    async def ended(self, result: AnyEvent, request: TaskRequested | None = None) -> Recorded:
        if request is not None:
            return await self.append(_subject("result", request), result)
        task_id = getattr(result, "task_id", TASK)
        return await self.append(subjects.task_result(42, 7, task_id), result)

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

    async def deliver(self, record: Recorded) -> None:
        """Twice, as everything is."""
        for _ in range(2):
            await on_event(record, ports=self.ports())

    async def published(
        self, task_id: str = TASK, *, place: tuple[int | str, int | str] = (42, 7)
    ) -> TaskPublished | None:
        record = await self.log.last(subjects.task_published(*place, task_id))
        assert record is None or isinstance(record.event, TaskPublished)
        return record.event if record else None


def _subject(verb: str, request: TaskRequested) -> str:
    return subjects.build("task", verb, request.scope, request.ref, request.task_id)


def finding(line: int, comment: str, *, side: str = "new", end: int | None = None) -> Finding:
    """A finding as the runner hands it in, with its position in `DIFF`."""
    diff = parse_diff(DIFF)
    where = locate(diff, file="a.py", side=side, line=line, end_line=end)
    return Finding(
        file="a.py",
        side=side,
        line=line,
        end_line=end or line,
        severity="warning",
        comment=comment,
        position=None if isinstance(where, Refusal) else where,
        line_text=line_text(diff, file="a.py", side=side, line=line) or "",
    )


def review(*findings: Finding, **changes: Any) -> ReviewDone:
    done = ReviewDone(task_id=TASK, head_sha=HEAD, summary="Looks fine.", findings=findings)
    return msgspec.structs.replace(done, **changes)
