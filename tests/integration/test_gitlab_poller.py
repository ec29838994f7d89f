"""The poller against the simulated GitLab over HTTP and a real nats-server; ingest as a process."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from libs.common.gitlab.changed import Page, Where
from libs.common.gitlab.errors import RateLimited
from libs.common.jetstream.connection import Connection
from services.ingest.poller import GitLab
from services.ingest.polling import Mark
from tests.fixtures.nats import NatsServer
from tests.integration.ingest_process import ingest
from tests.integration.ingest_world import SECRET
from tests.integration.polled_world import SHOP, World, fill, polled_world
from tests.simulators.gitlab import SimulatedGitLab, running_gitlab
from tests.simulators.gitlab.state import MergeRequest, Project

pytestmark = pytest.mark.real


@pytest.fixture
async def world(connection: Connection, tmp_path: Path) -> AsyncIterator[World]:
    async with polled_world(connection, tmp_path) as made:
        yield made


def opened_subject(merge_request: MergeRequest) -> str:
    project = merge_request.project.id
    return f"mr.opened.{project}.{merge_request.iid}.{merge_request.head_sha[:16]}"


async def test_heads_commands_and_ends_are_found(world: World) -> None:
    project = world.project()
    merge_request = await world.opened(project)
    note = await world.gitlab.comment(merge_request, "/copilot review")
    first = opened_subject(merge_request)
    command = f"note.command.{project.id}.{merge_request.iid}.{note.id}"
    for _ in range(2):
        await world.look()
        await world.look(world.another())
    assert [first, command] == await world.subjects()
    world.gitlab.advance(120)
    world.gitlab.commit(project, branch="topic", files={"a.py": "y = 2\n"})
    await world.look()
    assert opened_subject(merge_request) != first
    assert opened_subject(merge_request) == (await world.subjects())[-1]
    world.gitlab.advance(120)
    await world.gitlab.merge(merge_request)
    await world.look()
    ended = f"mr.closed.{project.id}.{merge_request.iid}.merged"
    assert ended == (await world.subjects())[-1]


async def test_a_second_comment_within_a_minute_is_found(world: World) -> None:
    """GitLab touches `updated_at` for notes at most once a minute."""
    merge_request = await world.opened(world.project())
    await world.look()
    world.gitlab.advance(50)
    note = await world.gitlab.comment(merge_request, "/copilot review")
    for _ in range(4):
        await world.look()
        world.gitlab.advance(30)
    assert (await world.subjects())[-1].endswith(f".{note.id}")


async def test_1000_projects_at_rest_cost_one_call_a_look_however_many_are_open(
    world: World,
) -> None:
    """The formula in `services.ingest.poller`, measured by the server's request log."""
    one = await world.opened(world.project())
    asked = {}
    for open_in_each in (1, 5):
        fill(world.gitlab, one, projects=1000, open_in_each=open_in_each)
        world.gitlab.advance(86_400)
        await world.look()
        asked[open_in_each] = [await world.calls() for _ in range(3)]
    assert {1: [["/groups/shop/merge_requests"]] * 3, 5: [["/groups/shop/merge_requests"]] * 3} == (
        asked
    )
    await world.gitlab.comment(one, "nice")
    project = one.project.id
    assert [
        "/groups/shop/merge_requests",
        f"/projects/{project}/merge_requests/{one.iid}/notes",
    ] == await world.calls()


class Moving:
    """After each page some of its rows are changed, so that all others move up by as many."""

    def __init__(self, inner: GitLab, gitlab: SimulatedGitLab, project: Project) -> None:
        self._inner, self._gitlab, self._project = inner, gitlab, project
        self.newest_notes = inner.newest_notes
        self.pages = 0

    async def changed(self, where: Where, updated_after: datetime, page: int = 1) -> Page:
        found = await self._inner.changed(where, updated_after, page)
        self.pages += 1
        if self.pages < 10:
            for row in found.rows[:7]:
                moved = self._project.merge_requests[row.iid]
                moved.updated_at = self._gitlab.world.clock.now()
        return found


async def test_rows_that_move_between_pages_are_all_found(world: World) -> None:
    one = await world.opened(world.project())
    project = one.project
    begin = world.gitlab.world.clock.now() - timedelta(minutes=30)
    for iid in range(2, 251):
        moment = begin + timedelta(seconds=iid)
        project.merge_requests[iid] = dataclasses.replace(
            one, id=world.gitlab.world.next_id(), iid=iid, updated_at=moment, notes=[]
        )
    moving = Moving(world.ports.gitlab, world.gitlab, project)
    world.ports = msgspec.structs.replace(world.ports, gitlab=moving)
    assert await world.look(world.another()) is None
    assert moving.pages >= 3
    assert 250 == len(await world.subjects())


@pytest.mark.parametrize("shape", ["rack attack", "application"])
async def test_after_a_429_nothing_is_asked_until_gitlab_takes_it(world: World, shape: str) -> None:
    await world.opened(world.project())
    body = "Retry later\n" if shape == "rack attack" else {"message": {"error": "Try again later."}}
    world.gitlab.faults.add(path="/groups/", status=429, headers={"Retry-After": "60"}, body=body)
    assert isinstance(await world.look(), RateLimited)
    asked = len(world.gitlab.requests)
    assert isinstance(await world.look(), RateLimited)
    assert asked == len(world.gitlab.requests)
    world.gitlab.advance(61)
    assert await world.look() is None
    assert 1 == len(await world.subjects())


async def test_a_group_that_refuses_us_hides_no_other(world: World) -> None:
    await world.opened(world.project())
    poller = world.another(Where(group="secret"), Where(group="nobody"), SHOP)
    forbidden = {"message": "403 Forbidden"}
    world.gitlab.faults.add(path="/groups/secret", times=9, status=403, body=forbidden)
    assert await world.look(poller) is None
    assert 1 == len(await world.subjects())
    trouble = str(await poller.trouble())
    assert "group secret: GitLab answered 403" in trouble
    assert "group nobody: GitLab answered 404" in trouble


async def test_a_mark_from_the_future_hides_nothing(world: World) -> None:
    await world.opened(world.project())
    future = world.gitlab.world.clock.now() + timedelta(days=400)
    await world.marks.advance(SHOP, Mark(through=future, complete=future))
    assert await world.look() is None
    assert 1 == len(await world.subjects())
    mark = await world.marks.read(SHOP)
    assert mark is not None
    assert mark.through < future - timedelta(days=399)


async def test_a_project_that_is_deleted_while_it_is_looked_into_stops_no_other(
    world: World,
) -> None:
    gone, there = [await world.opened(world.project(f"shop/{name}")) for name in ("gone", "there")]
    gone.project.merge_requests = {99: gone}  # listed, and not found by its own iid
    assert await world.look() is None
    assert opened_subject(there) in await world.subjects()
    assert await world.poller.trouble() is None


def polling(gitlab: SimulatedGitLab) -> dict[str, str]:
    """Settings of an ingest that looks each second."""
    return {
        "GITLAB_URL": gitlab.url,
        "GITLAB_READ_TOKEN": gitlab.read_token,
        "GITLAB_POLL": "true",
        "GITLAB_POLL_INTERVAL": "1",
        "GITLAB_GROUPS": "shop",
    }


async def test_the_process_polls_and_says_when_webhooks_do_not_come(
    own_nats_server: NatsServer, tmp_path: Path
) -> None:
    async with running_gitlab(tmp_path / "gitlab") as gitlab:
        project = gitlab.create_project("shop/app")
        gitlab.commit(project, branch="topic", files={"a.py": "x = 1\n"})
        settings = polling(gitlab) | {"HOOK_WATCH_SECONDS": "1"}
        async with ingest(own_nats_server.url, **settings) as process:
            await process.line("polling", lease="poll.gitlab")
            merge_request = await gitlab.open_merge_request(project, source_branch="topic")
            await process.line("found by polling", subject=opened_subject(merge_request))
            missing = await process.line("webhooks do not come")
            assert missing["hooks"] == "shop/app (Merge request events)"
            assert "GITLAB_WEBHOOK_SECRET" in missing["likely_causes"]
            status, text = await process.fetch("/readyz")
            found = json.loads(text)
            assert (status, found["status"], found["details"]["gitlab"]) == (200, "ready", "ok")
            assert "shop/app" in found["details"]["webhooks"]
            assert "gca_hooks_missing 1.0" in (await process.fetch("/metrics"))[1]

            url = (await process.line("webhook listening"))["url"]
            gitlab.set_webhook(url=url, secret=SECRET)
            await gitlab.push(project, branch="topic", files={"a.py": "x = 2\n"})
            await process.line("webhooks come again")
            status, text = await process.fetch("/readyz")
            assert json.loads(text)["details"]["webhooks"] == "ok"
            assert await process.stop() == 0
            assert gitlab.read_token not in process.output


@pytest.mark.timeout(120)
async def test_another_ingest_polls_within_half_a_minute_after_sigkill(
    own_nats_server: NatsServer, tmp_path: Path
) -> None:
    """By real clocks: the lease of the dead one has to run out."""
    async with running_gitlab(tmp_path / "gitlab") as gitlab:
        project = gitlab.create_project("shop/app")
        gitlab.commit(project, branch="topic", files={"a.py": "x = 1\n"})
        settings = polling(gitlab)
        async with ingest(own_nats_server.url, **settings) as first:
            await first.line("polling", lease="poll.gitlab")
            async with ingest(own_nats_server.url, **settings) as second:
                await second.line("connected to NATS")
                first.process.kill()
                await first.process.wait()
                killed = time.monotonic()
                merge_request = await gitlab.open_merge_request(project, source_branch="topic")
                await second.line(
                    "found by polling", within=30, subject=opened_subject(merge_request)
                )
                assert time.monotonic() - killed < 30
                assert await second.stop() == 0
