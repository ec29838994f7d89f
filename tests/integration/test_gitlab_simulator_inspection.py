"""What `gca doctor` asks of GitLab, of the simulated one by raw HTTP."""

from __future__ import annotations

import pytest

from tests.simulators.gitlab.wire import opened_merge_request

pytestmark = pytest.mark.real


@pytest.fixture
async def scene(tmp_path):
    async with opened_merge_request(tmp_path / "gitlab") as scene:
        yield scene


async def test_the_default_branch_is_protected_until_someone_changes_that(scene):
    path = f"/projects/{scene.project.id}/protected_branches"

    shown = (await scene.bot.get(f"{path}/main")).body

    assert shown["name"] == "main"
    assert [level["access_level"] for level in shown["merge_access_levels"]] == [40]
    scene.gitlab.protect_branch(scene.project, "main", push=0, merge=30)
    [listed] = (await scene.bot.get(path)).body
    assert [level["access_level"] for level in listed["merge_access_levels"]] == [30]
    assert [level["access_level"] for level in listed["push_access_levels"]] == [0]
    scene.gitlab.unprotect_branch(scene.project, "main")
    assert (await scene.bot.get(f"{path}/main")).status == 404


async def test_protected_branches_are_for_developers_and_up(scene):
    scene.gitlab.add_member(scene.project, scene.gitlab.bot, 20)

    answer = await scene.bot.get(f"/projects/{scene.project.id}/protected_branches")

    assert (answer.status, answer.body) == (403, {"message": "403 Forbidden"})


async def test_a_branch_says_what_its_reader_may_do(scene):
    path = f"/projects/{scene.project.id}/repository/branches/main"

    def told(answer):
        names = ("protected", "developers_can_merge", "developers_can_push", "can_push")
        return tuple(answer.body[name] for name in names)

    assert told(await scene.bot.get(path)) == (True, False, False, False)
    assert told(await scene.human.get(path)) == (True, False, False, True)
    scene.gitlab.protect_branch(scene.project, "main", push=0, merge=30)
    assert told(await scene.bot.get(path)) == (True, True, False, False)
    scene.gitlab.unprotect_branch(scene.project, "main")
    assert told(await scene.bot.get(path)) == (False, False, False, True)


async def test_a_token_says_when_it_expires(scene):
    scene.gitlab.world.tokens[scene.gitlab.write_token].expires_at = "2026-05-01"

    shown = (await scene.bot.get("/personal_access_tokens/self")).body

    assert (shown["expires_at"], shown["scopes"]) == ("2026-05-01", ["api"])


async def test_hooks_are_for_maintainers(scene):
    scene.gitlab.set_webhook(url="http://127.0.0.1:9/webhook")
    path = f"/projects/{scene.project.id}/hooks"

    assert (await scene.bot.get(path)).status == 403
    [hook] = (await scene.human.get(path)).body
    assert (hook["alert_status"], hook["merge_requests_events"]) == ("executable", True)


async def test_every_answer_has_a_date(scene):
    assert (await scene.bot.get("/version")).headers["Date"].endswith("GMT")
