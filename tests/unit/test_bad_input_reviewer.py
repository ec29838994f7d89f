"""GitLab at its worst, as the reviewer meets it: wait, give up, or ask for one review."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common import subjects
from libs.common.allowed import allowed
from libs.common.errors import AgentError, Permanent, Temporary
from libs.common.events.envelope import NewEvent, Recorded
from libs.common.events.facts import MrOpened
from libs.common.events.tasks import DiffRefs, Limits, TaskRequested
from libs.common.gitlab.errors import RateLimited, TimedOut, Unauthorized, Unavailable
from libs.common.reviewed import Reviewed
from services.reviewer.handlers import Policy, Ports, on_event
from tests.fakes.clock import FakeClock
from tests.fakes.gitlab import URL, FakeGitLab
from tests.fakes.kv import MemoryKeyValue
from tests.fakes.log import MemoryLog

A, B, BASE = "a" * 40, "b" * 40, "c" * 40
CALLS = ("merge_request", "project", "commits")
"""What the reviewer asks for one review, in order."""


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
    """One merge request at head A and the fact that it was opened."""

    def __init__(self) -> None:
        self.clock = FakeClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
        self.log = MemoryLog(self.clock)
        self.gitlab = FakeGitLab()
        refs = DiffRefs(base_sha=BASE, start_sha=BASE, head_sha=A)
        self.mr = self.gitlab.add_merge_request(refs)
        self.woken: list[str] = []

    async def seen(self, sha: str = A, **fields: Any) -> Recorded:
        fact = MrOpened(project_id=42, iid=7, head_sha=sha, why="open", **fields)
        subject = subjects.mr_opened(42, 7, sha)
        new = NewEvent(
            subject=subject,
            event=fact,
            message_id=f"{sha[:16]}-{len(self.log.events)}",
            source="test",
            time=self.clock.now(),
        )
        await self.log.append(new)
        record = await self.log.last(subject)
        assert record is not None
        return record

    async def deliver(self, event: Recorded, *, gitlab: Any = None) -> None:
        """One delivery, as the consumer makes it."""
        ports = Ports(
            log=self.log,
            gitlab=gitlab or self.gitlab,
            reviewed=Reviewed(MemoryKeyValue(self.clock)),
            clock=self.clock,
            policy=Policy(gitlab_url=URL, limits=Limits(), projects=allowed([])),
            wake=self.woken.append,
        )
        await on_event(event, ports=ports)

    def requests(self) -> list[TaskRequested]:
        found = [record.event for record in self.log.events]
        return [event for event in found if isinstance(event, TaskRequested)]


@pytest.fixture
def world() -> World:
    return World()


async def test_a_review_is_requested_once_however_often_its_event_comes(world):
    event = await world.seen()

    await world.deliver(event)
    await world.deliver(event)

    [request] = world.requests()
    assert (A, "main") == (request.head_sha, request.target_branch)
    assert world.woken


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "error",
    [
        Unauthorized("401", delay=60, status=401),
        RateLimited("429", delay=17, status=429),
        Unavailable("502 <html>", status=502),
        TimedOut("no answer"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_gitlab_away_at_any_call_is_waited_for_and_then_asked_again(world, call, error):
    event = await world.seen()

    with pytest.raises(Temporary) as raised:
        await world.deliver(event, gitlab=Sick(world.gitlab, call, error))
    assert (raised.value.peer, raised.value.delay) == ("gitlab", error.delay)
    assert world.requests() == []
    await world.deliver(event)

    assert len(world.requests()) == 1


async def test_a_merge_request_that_is_gone_is_done_with(world):
    event = await world.seen()
    del world.gitlab.merge_requests[42, 7]

    await world.deliver(event)

    assert world.requests() == []


async def test_a_pushed_head_that_gitlab_does_not_show_yet_is_waited_for(world):
    event = await world.seen(B)

    with pytest.raises(Temporary, match="does not show the pushed head yet"):
        await world.deliver(event)
    world.gitlab.push(world.mr, B)
    await world.deliver(event)

    assert [B] == [request.head_sha for request in world.requests()]


async def test_a_head_that_moved_meanwhile_is_left_to_its_own_event(world):
    event = await world.seen(A)
    world.gitlab.push(world.mr, B)

    await world.deliver(event)
    assert world.requests() == []
    await world.deliver(await world.seen(B))

    assert [B] == [request.head_sha for request in world.requests()]


async def test_a_diff_that_is_not_made_yet_is_waited_for_two_minutes_at_most(world):
    world.gitlab.change(world.mr, diff_refs=None)
    event = await world.seen()

    with pytest.raises(Temporary, match="has not made the diff yet"):
        await world.deliver(event)
    world.clock.advance(timedelta(minutes=3).total_seconds())
    await world.deliver(event)

    assert world.requests() == []


async def test_sr_04_a_clone_url_of_another_host_ends_the_event(world):
    project = world.gitlab.projects[42]
    world.gitlab.projects[42] = msgspec.structs.replace(
        project, http_url_to_repo="https://evil.test/group/project.git"
    )

    with pytest.raises(Permanent, match="no token goes there"):
        await world.deliver(await world.seen())

    assert world.requests() == []


async def test_sr_03_what_the_fact_says_is_read_again_from_gitlab(world):
    event = await world.seen(source_branch="forged", target_branch="forged", draft=True)

    await world.deliver(event)

    [request] = world.requests()
    assert ("topic", "main") == (request.source_branch, request.target_branch)
    assert f"{URL}/group/project.git" == request.clone_url
    assert "alice" == request.author


async def test_long_texts_of_people_are_cut_in_the_request(world):
    world.gitlab.change(world.mr, title="t" * 5_000, description="d" * 900_000)
    commit = msgspec.structs.replace(world.mr.commits[0], message="m" * 90_000)
    world.mr.commits = [commit] * 400

    await world.deliver(await world.seen())

    [request] = world.requests()
    assert len(msgspec.json.encode(request)) < 512 * 1024
    assert request.description.endswith("…")
