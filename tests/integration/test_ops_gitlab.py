"""The doctor's questions to GitLab, through the door, at the simulator."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from libs.common.gitlab.errors import Forbidden, NotFound, Unavailable
from libs.common.gitlab.inspection import GitLabInspection
from libs.common.gitlab.server import Server
from tests.simulators.gitlab import running_gitlab

pytestmark = pytest.mark.real


@pytest.fixture
async def gitlab(tmp_path):
    async with running_gitlab(tmp_path, webhook_url="http://127.0.0.1:9/webhook") as made:
        yield made


def door(gitlab, token: str) -> GitLabInspection:
    return GitLabInspection(Server(url=gitlab.url, token=token), pauses=())


@pytest.fixture
async def bot(gitlab):
    async with door(gitlab, gitlab.write_token) as made:
        yield made


@pytest.fixture
async def maintainer(gitlab):
    async with door(gitlab, gitlab.human_token) as made:
        yield made


async def test_the_server_tells_its_version_and_its_time(gitlab, bot):
    greeting = await bot.greeting()

    assert greeting.version == gitlab.settings.version
    assert greeting.time is not None
    assert abs((datetime.now(UTC) - greeting.time).total_seconds()) < 10


async def test_a_token_tells_of_itself(bot):
    token = await bot.token()
    assert (token.scopes, token.expires_at) == (frozenset({"api"}), date(2099, 1, 1))


async def test_projects_are_found_by_path_and_by_id(gitlab, bot):
    project = gitlab.create_project("group/sub/app")

    for name in ("group/sub/app", str(project.id)):
        assert (await bot.find_project(name)).id == project.id
    with pytest.raises(NotFound):
        await bot.find_project("group/none")


async def test_own_projects_are_a_few(gitlab, bot):
    for number in range(4):
        gitlab.create_project(f"group/app{number}")
    assert len(await bot.own_projects(3)) == 3


async def test_levels_count_groups_and_no_member_is_nought(gitlab, bot):
    project = gitlab.create_project("group/app")
    gitlab.add_member(project, gitlab.bot, 40, inherited=True)

    assert await bot.access_level(project.id, gitlab.bot.id) == 40
    assert await bot.access_level(project.id, 999) == 0


async def test_the_rule_of_a_branch_is_read_where_that_is_allowed(gitlab, bot):
    project = gitlab.create_project("group/app")
    gitlab.protect_branch(project, "release/1", push=0, merge=30)

    rule = await bot.protection(project.id, "release/1")

    assert rule is not None
    assert [entry.access_level for entry in rule.merge_access_levels] == [30]
    assert await bot.protection(project.id, "topic") is None
    gitlab.add_member(project, gitlab.bot, 20)
    assert await bot.protection(project.id, "release/1") is None


async def test_a_branch_tells_whether_it_is_protected(gitlab, bot):
    project = gitlab.create_project("group/app")
    assert (await bot.branch(project.id, "main")).protected
    gitlab.unprotect_branch(project, "main")
    assert not (await bot.branch(project.id, "main")).protected


async def test_webhooks_are_for_maintainers(gitlab, bot, maintainer):
    project = gitlab.create_project("group/app")

    with pytest.raises(Forbidden):
        await bot.hooks(project.id)
    [hook] = await maintainer.hooks(project.id)
    assert (hook.url, hook.alert_status) == ("http://127.0.0.1:9/webhook", "executable")
    assert await maintainer.last_delivery(project.id, hook.id) is None


async def test_the_last_delivery_tells_that_nobody_answered(gitlab, maintainer):
    project = gitlab.create_project("group/app")
    gitlab.commit(project, branch="topic", files={"a": "b"})
    await gitlab.open_merge_request(project, source_branch="topic", title="T")
    await gitlab.settle()
    [hook] = await maintainer.hooks(project.id)

    last = await maintainer.last_delivery(project.id, hook.id)

    assert last is not None
    assert (last.response_status, last.succeeded) == ("internal error", False)


@pytest.mark.parametrize("body", ["<html>hello</html>", {"hello": "there"}, []])
async def test_what_is_no_gitlab_is_not_believed(gitlab, bot, body):
    gitlab.faults.add(path="/version", status=200, body=body)
    with pytest.raises(Unavailable):
        await bot.greeting()
