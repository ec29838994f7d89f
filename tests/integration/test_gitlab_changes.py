"""The calls that find what is new, and the budget, against the simulated GitLab."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from libs.common.gitlab.budget import Budget
from libs.common.gitlab.changed import Where
from libs.common.gitlab.client import GitLabClient
from libs.common.gitlab.errors import NotFound, RateLimited, Unavailable
from libs.common.gitlab.server import Server
from tests.simulators.gitlab import SimulatedGitLab, running_gitlab
from tests.simulators.gitlab.state import MergeRequest

pytestmark = pytest.mark.real
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def gitlab(tmp_path: Path) -> AsyncIterator[SimulatedGitLab]:
    async with running_gitlab(tmp_path / "gitlab") as running:
        yield running


@pytest.fixture
async def client(gitlab: SimulatedGitLab) -> AsyncIterator[GitLabClient]:
    async with connected(gitlab) as client:
        yield client


def connected(gitlab: SimulatedGitLab, budget: Budget | None = None) -> GitLabClient:
    server = Server(url=gitlab.url, token=gitlab.read_token, token_setting="GITLAB_READ_TOKEN")
    return GitLabClient(server, workers=1, pauses=(), budget=budget)


async def opened(gitlab: SimulatedGitLab, path: str = "shop/app") -> MergeRequest:
    project = gitlab.create_project(path)
    gitlab.commit(project, branch="topic", files={"a.py": "x = 1\n"})
    return await gitlab.open_merge_request(project, source_branch="topic")


@pytest.mark.parametrize("where", [Where(group="shop"), Where(project="shop/app"), Where()])
async def test_what_changed_is_found_with_the_time_of_the_answer(
    gitlab: SimulatedGitLab, client: GitLabClient, where: Where
) -> None:
    since = gitlab.world.clock.now() - timedelta(seconds=1)
    merge_request = await opened(gitlab)
    gitlab.advance(3600)
    page = await client.changed(where, since)
    [row] = page.rows
    assert (row.project_id, row.iid) == (merge_request.project.id, merge_request.iid)
    assert (row.sha, row.state, row.draft) == (merge_request.head_sha, "opened", False)
    assert (row.project_path, row.target_branch) == ("shop/app", "main")
    assert page.is_last
    assert page.at is not None
    assert abs(gitlab.world.clock.now() - page.at) < timedelta(seconds=5)
    later = await client.changed(where, gitlab.world.clock.now())
    assert later.rows == ()


async def test_a_group_that_is_not_for_us_is_not_found(client: GitLabClient) -> None:
    with pytest.raises(NotFound):
        await client.changed(Where(group="nobody"), LONG_AGO)


async def test_notes_come_newest_first(gitlab: SimulatedGitLab, client: GitLabClient) -> None:
    merge_request = await opened(gitlab)
    for number in range(3):
        gitlab.advance(1)
        await gitlab.comment(merge_request, f"note {number}")
    page = await client.newest_notes(merge_request.project.id, merge_request.iid)
    assert [note.body for note in page.rows] == ["note 2", "note 1", "note 0"]
    assert page.is_last


async def test_an_entry_that_makes_no_sense_does_not_hide_the_others(
    gitlab: SimulatedGitLab, client: GitLabClient
) -> None:
    good = {"project_id": 1, "iid": 2, "state": "opened", "updated_at": "2026-01-05T09:00:00.000Z"}
    gitlab.faults.add(path="/groups/", status=200, body=[{"id": 1}, good])
    page = await client.changed(Where(group="shop"), LONG_AGO)
    assert [row.iid for row in page.rows] == [2]
    gitlab.faults.add(path="/groups/", status=200, body=[{"id": 1}])
    with pytest.raises(Unavailable):
        await client.changed(Where(group="shop"), LONG_AGO)


@pytest.mark.parametrize(
    "answer",
    [
        {"body": "Retry later\n", "headers": {"Retry-After": "120", "RateLimit-Remaining": "0"}},
        {"body": {"message": {"error": "too many times"}}, "headers": {"Retry-After": "120"}},
    ],
    ids=["rack attack", "application"],
)
async def test_after_a_429_nothing_more_is_sent_until_gitlab_takes_it(
    gitlab: SimulatedGitLab, answer: dict[str, Any]
) -> None:
    gitlab.faults.add(status=429, **answer)
    async with connected(gitlab, Budget()) as client:
        for _ in range(3):
            with pytest.raises(RateLimited) as raised:
                await client.current_user()
            assert 100 < raised.value.delay <= 120
    assert len(gitlab.requests) == 1


async def test_a_limit_that_is_nearly_used_up_is_left_to_others(gitlab: SimulatedGitLab) -> None:
    gitlab.settings.requests_per_minute = 1
    gitlab.settings.always_show_limits = True
    now = gitlab.world.clock.now().timestamp()
    gitlab.advance(61 - now % 60)  # at the start of a minute, so that its end is far
    async with connected(gitlab, Budget(lambda: gitlab.world.clock.now().timestamp())) as client:
        await client.current_user()
        with pytest.raises(RateLimited):
            await client.user(1)
    assert [entry.status for entry in gitlab.requests] == [200]
