"""GitLab at its worst, as the reviewer meets it: wait, give up, or ask for one review."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from libs.common.errors import Permanent, Temporary
from libs.common.gitlab.errors import RateLimited, TimedOut, Unauthorized, Unavailable
from tests.fakes.gitlab import URL
from tests.unit.reviewer.world import A, B, Sick, World

CALLS = ("merge_request", "project", "commits")
"""What the reviewer asks for one review, in order."""


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
