"""`/copilot review`: who gets one, how often, and how it stands beside reviews nobody asked for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from libs.common import reviewing
from libs.common.errors import Permanent, Temporary
from libs.common.events.envelope import NewEvent
from libs.common.events.log import Created
from libs.common.events.tasks import AskedIn, Refused, ReviewDone, Superseded, TaskFailed
from libs.common.gitlab.errors import TimedOut
from libs.common.reviewing import Nothing, Review
from services.reviewer.superseding import superseded
from tests.fakes.log import MemoryLog
from tests.unit.reviewer.world import A, B, Sick, World

REVIEW = "/copilot review"
AUTOMATIC = f"review-42-7-{A[:16]}-0"


@pytest.fixture
def world() -> World:
    return World()


def decided(world: World, history: Any) -> Review | Nothing:
    return reviewing.decide(reviewing.head_of(world.mr.merge_request), history)


async def test_a_command_asks_for_a_review_of_this_head_in_the_persons_name(world):
    event = await world.noted(REVIEW)

    await world.deliver(event)

    [request] = world.requests()
    note = world.mr.discussions[0].notes[0]
    assert request.task_id == f"review-42-7-{A[:16]}-n{note.id}"
    assert request.asked_in == AskedIn(note_id=note.id, discussion_id=world.mr.discussions[0].id)
    assert (request.requester.name, request.requester.rule) == (
        "alice",
        "Reporter or more may ask for a review",
    )
    assert (request.kind, request.head_sha) == ("review", A)
    assert world.woken


@pytest.mark.parametrize("pushed", [False, True], ids=["same head", "pushed meanwhile"])
async def test_a_command_that_comes_twice_is_one_task(world, pushed):
    event = await world.noted(REVIEW)

    await world.deliver(event)
    if pushed:
        world.gitlab.push(world.mr, B)
    await world.deliver(event)

    assert [A] == [request.head_sha for request in world.requests()]
    assert world.refusals() == []


async def test_a_head_that_was_reviewed_is_reviewed_again_when_somebody_asks(world):
    await world.deliver(await world.seen())
    await world.end(ReviewDone(task_id=AUTOMATIC, head_sha=A, summary="fine"))
    await world.publish(AUTOMATIC, "posted")

    await world.deliver(await world.noted(REVIEW))
    await world.deliver(await world.noted("@copilot-agent review"))

    assert 3 == len({request.task_id for request in world.requests()})


async def test_a_draft_is_reviewed_when_somebody_asks(world):
    world.gitlab.change(world.mr, draft=True)

    await world.deliver(await world.noted(REVIEW))

    assert [A] == [request.head_sha for request in world.requests()]


@pytest.mark.parametrize(
    "text", ["/copilot help", "/copilot ask why?", "/copilot add a test", "just a note"]
)
async def test_other_commands_are_the_coders_and_cost_no_call(world, text):
    await world.deliver(await world.noted(text))

    assert (world.requests(), world.gitlab.calls) == ([], ["current_user"])


REFUSALS = {
    "stranger": (None, {}, {}, Refused(task_id="", head_sha=A, code="access", needed="Reporter")),
    "Guest": (10, {}, {}, Refused(task_id="", head_sha=A, code="access", needed="Reporter")),
    "closed": (30, {"state": "closed"}, {}, Refused(task_id="", head_sha=A, code="closed")),
    "merged": (30, {"state": "merged"}, {}, Refused(task_id="", head_sha=A, code="closed")),
    "internal": (30, {}, {"internal": True},
                 Refused(task_id="", head_sha=A, code="internal_note")),
}  # fmt: skip


@pytest.mark.parametrize(
    ("level", "mr", "note", "expected"), REFUSALS.values(), ids=REFUSALS.keys()
)
async def test_sr06_sr10_who_may_not_ask_is_answered_and_nothing_is_launched(
    world, level, mr, note, expected
):
    world.gitlab.change(world.mr, **mr)
    event = await world.noted(REVIEW, level, **note)

    await world.deliver(event)
    await world.deliver(event)

    [request], [refused] = world.requests(), world.refusals()
    assert (refused.code, refused.needed, refused.head_sha) == (
        expected.code,
        expected.needed,
        expected.head_sha,
    )
    assert (refused.task_id, request.max_launches) == (request.task_id, 0)
    assert "commits" not in world.gitlab.calls


async def test_a_refusal_needs_no_diff(world):
    world.gitlab.change(world.mr, state="closed", diff_refs=None, sha="")

    await world.deliver(await world.noted(REVIEW))

    assert ["closed"] == [refused.code for refused in world.refusals()]


async def test_sr09_a_note_that_is_gone_starts_nothing(world):
    event = await world.noted(REVIEW)
    world.mr.discussions.clear()
    await world.deliver(event)

    assert world.requests() == []


async def test_a_diff_that_is_not_made_yet_is_waited_for_two_minutes_at_most(world):
    world.gitlab.change(world.mr, diff_refs=None)
    event = await world.noted(REVIEW)

    with pytest.raises(Temporary, match="has not made the diff yet"):
        await world.deliver(event)
    world.clock.advance(timedelta(minutes=3).total_seconds())
    with pytest.raises(Permanent, match="without diff_refs"):
        await world.deliver(event)


@pytest.mark.parametrize("call", ["discussion", "user", "merge_request", "member", "project"])
async def test_sr06_gitlab_away_at_any_call_is_waited_for_and_then_asked_again(world, call):
    event = await world.noted(REVIEW)

    with pytest.raises(Temporary):
        await world.deliver(event, gitlab=Sick(world.gitlab, call, TimedOut("no answer")))
    assert world.requests() == []
    await world.deliver(event)

    assert 1 == len(world.requests())


class Killed(Exception):
    """The process died here."""


class Dying:
    """A log whose process dies before, or right after, its `at`th creation."""

    def __init__(self, inner: MemoryLog, at: int, *, before: bool) -> None:
        self._inner = inner
        self._left = at
        self._before = before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def create(self, new: NewEvent) -> Created:
        self._left -= 1
        if self._left == 0 and self._before:
            raise Killed
        created = await self._inner.create(new)
        if self._left == 0:
            raise Killed
        return created


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("at", [1, 2])
async def test_killed_at_any_append_a_refused_command_ends_once(world, at, before):
    event = await world.noted(REVIEW, None)

    with pytest.raises(Killed):
        await world.deliver(event, log=Dying(world.log, at, before=before))
    await world.deliver(event)

    assert (1, 1) == (len(world.requests()), len(world.refusals()))


async def test_a_review_somebody_asked_for_serves_the_same_head_seen_later(world):
    await world.deliver(await world.noted(REVIEW))
    await world.deliver(await world.seen())

    assert 1 == len(world.requests())


async def test_a_review_somebody_asked_for_replaces_the_one_that_runs(world):
    await world.deliver(await world.seen())
    await world.deliver(await world.noted(REVIEW))

    assert {AUTOMATIC: "another review of the same head"} == superseded(await world.history())


async def test_a_review_that_came_a_moment_later_by_itself_does_not_replace_it(world):
    """Two replicas: one decided before the command's task was in the log, and appended after."""
    await world.deliver(await world.seen())
    first = world.log.events.pop()
    await world.deliver(await world.noted(REVIEW))
    await world.append(first.subject, first.event)

    assert {AUTOMATIC: "another review of the same head"} == superseded(await world.history())


async def test_a_newer_head_ends_a_review_somebody_asked_for(world):
    await world.deliver(await world.noted(REVIEW))
    [asked] = world.requests()
    world.gitlab.push(world.mr, B)
    await world.deliver(await world.seen(B))

    assert {asked.task_id: f"head {B[:12]}"} == superseded(await world.history())


async def test_an_ended_review_somebody_asked_for_replaces_nothing(world):
    """A to B to A: the review of A that runs now is not the one that was asked for."""
    await world.deliver(await world.noted(REVIEW))
    [asked] = world.requests()
    await world.end(Superseded(task_id=asked.task_id, head_sha=A, by="head"))
    await world.deliver(await world.seen())

    runs = world.requests()[-1]
    assert f"review-42-7-{A[:16]}-1" == runs.task_id
    assert runs.task_id not in superseded(await world.history())


@pytest.mark.parametrize("ended", [True, False])
async def test_a_refused_command_neither_ends_nor_serves_nor_counts_as_a_review(world, ended):
    """Else a stranger could keep a merge request from being reviewed."""
    await world.deliver(await world.noted(REVIEW, None))
    [refused] = world.requests()
    if not ended:
        world.log.events.pop()
    assert Review(AUTOMATIC) == decided(world, await world.history())
    await world.publish(refused.task_id, "refused")
    assert Review(AUTOMATIC) == decided(world, await world.history())

    await world.deliver(await world.seen())
    await world.deliver(await world.noted(REVIEW, None))

    assert {} == superseded(await world.history())


async def test_a_failed_review_somebody_asked_for_does_not_undo_one_that_was_posted(world):
    await world.deliver(await world.seen())
    await world.end(ReviewDone(task_id=AUTOMATIC, head_sha=A, summary="fine"))
    await world.publish(AUTOMATIC, "posted")
    await world.deliver(await world.noted(REVIEW))
    asked = world.requests()[-1]
    await world.end(TaskFailed(task_id=asked.task_id, head_sha=A, reason="model"))
    await world.publish(asked.task_id, "failed")

    assert Nothing("this head was reviewed", "reviewed") == decided(world, await world.history())


async def test_the_end_of_a_jira_task_is_not_the_reviewers(world):
    end = Superseded(task_id="coding-PROJ-1-7", head_sha=A, by="")
    record = await world.append("task.result.PROJ.1.coding-PROJ-1-7", end)

    await world.deliver(record)

    assert world.gitlab.calls == []


async def test_a_project_that_is_not_served_gets_no_task(world):
    event = await world.noted(REVIEW)
    world.served = ["other/project"]

    await world.deliver(event)

    assert world.requests() == []
