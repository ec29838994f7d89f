"""Members, users and what they may, as the simulated GitLab tells; raw HTTP only."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.simulators.gitlab.wire import opened_merge_request

pytestmark = pytest.mark.real


@pytest.fixture
async def scene(tmp_path):
    async with opened_merge_request(tmp_path / "gitlab") as scene:
        yield scene


def members(scene):
    return f"/projects/{scene.project.id}/members"


@pytest.mark.parametrize("level", [5, 10, 15, 20, 25, 30, 40, 50])
async def test_behaviour_52_every_level_is_told_as_a_number(scene, level):
    user = scene.gitlab.add_user("ursula", project=scene.project, access_level=level)
    body = (await scene.reader.get(f"{members(scene)}/all/{user.id}")).body
    assert (body["access_level"], body["state"], body["expires_at"]) == (level, "active", None)


async def test_behaviour_52_of_a_direct_and_an_inherited_role_the_higher_one_counts(scene):
    user = scene.gitlab.add_user("ursula", project=scene.project, access_level=20)
    scene.gitlab.add_member(scene.project, user, 40, inherited=True)
    direct = await scene.reader.get(f"{members(scene)}/{user.id}")
    every = await scene.reader.get(f"{members(scene)}/all/{user.id}")
    assert (direct.body["access_level"], every.body["access_level"]) == (20, 40)


async def test_behaviour_52_a_blocked_member_stays_listed_and_may_nothing(scene):
    user = scene.gitlab.add_user("ursula", project=scene.project)
    token = scene.gitlab.add_token(user).value
    scene.gitlab.block(user)
    body = (await scene.reader.get(f"{members(scene)}/all/{user.id}")).body
    assert (body["state"], body["access_level"]) == ("blocked", 30)
    assert (await scene.wire(token).get("/user")).status == 401


async def test_behaviour_52_an_expired_member_stays_listed_with_the_day_and_may_nothing(scene):
    user = scene.gitlab.add_user("ursula")
    today = scene.gitlab.world.clock.now().date()
    scene.gitlab.add_member(scene.project, user, 30, expires_at=today + timedelta(days=1))
    wire = scene.wire(scene.gitlab.add_token(user).value)
    assert (await wire.get(scene.api)).status == 200
    scene.gitlab.advance(24 * 3600)
    body = (await scene.reader.get(f"{members(scene)}/all/{user.id}")).body
    assert body["expires_at"] == (today + timedelta(days=1)).isoformat()
    assert body["access_level"] == 30
    assert (await wire.get(scene.api)).status == 404


async def test_behaviour_52_a_revoked_member_and_a_stranger_are_404(scene):
    user = scene.gitlab.add_user("ursula", project=scene.project)
    scene.gitlab.remove_member(scene.project, user)
    for user_id in (user.id, 4711):
        answer = await scene.reader.get(f"{members(scene)}/all/{user_id}")
        assert (answer.status, answer.body) == (404, {"message": "404 Not found"})


async def test_behaviour_52_lists_hold_direct_members_or_all(scene):
    user = scene.gitlab.add_user("ursula")
    scene.gitlab.add_member(scene.project, user, 30, inherited=True)

    async def names(path):
        return [member["username"] for member in (await scene.reader.get(path)).body]

    assert await names(members(scene)) == ["alice", "copilot-agent"]
    assert await names(f"{members(scene)}/all") == ["alice", "copilot-agent", "ursula"]


async def test_users_are_found_by_id_with_bot_and_by_name_without(scene):
    bot = scene.gitlab.bot
    assert (await scene.reader.get(f"/users/{bot.id}")).body["bot"] is True
    assert (await scene.reader.get(f"/users/{scene.gitlab.alice.id}")).body["bot"] is False
    assert (await scene.reader.get("/users/4711")).status == 404
    [found] = (await scene.reader.get("/users", params={"username": "Copilot-Agent"})).body
    assert (found["id"], found["username"], "bot" in found) == (bot.id, "copilot-agent", False)
    assert (await scene.reader.get("/users", params={"username": "copilot"})).body == []


# --- branches and files -----------------------------------------------------------


async def test_a_branch_tells_its_tip_and_who_may_write_to_it(scene):
    scene.gitlab.protect_branch(scene.project, "feat*", push=30, merge=40)
    path = f"/projects/{scene.project.id}/repository/branches"
    body = (await scene.reader.get(f"{path}/feature")).body
    assert body["commit"]["id"] == scene.merge_request.head_sha
    names = ("protected", "default", "developers_can_push", "developers_can_merge", "can_push")
    assert [body[name] for name in names] == [True, False, True, False, True]
    assert (await scene.reader.get(f"{path}/main")).body["default"] is True
    scene.gitlab.commit(scene.project, branch="agent/SHOP-1", files={"a.py": "a\n"})
    assert (await scene.reader.get(f"{path}/agent%2FSHOP-1")).status == 200
    missing = await scene.reader.get(f"{path}/agent%2FSHOP")
    assert (missing.status, missing.body) == (404, {"message": "404 Branch Not Found"})


async def test_a_branch_is_deleted_by_a_developer_unless_it_is_protected_or_the_default(scene):
    scene.gitlab.commit(scene.project, branch="agent/SHOP-1", files={"a.py": "a\n"})
    scene.gitlab.commit(scene.project, branch="kept", files={"a.py": "a\n"})
    scene.gitlab.protect_branch(scene.project, "kept")
    path = f"/projects/{scene.project.id}/repository/branches"
    assert (await scene.reader.delete(f"{path}/agent%2FSHOP-1")).status == 403
    assert (await scene.bot.delete(f"{path}/agent%2FSHOP-1")).status == 204
    assert (await scene.bot.delete(f"{path}/agent%2FSHOP-1")).status == 404
    assert (await scene.bot.delete(f"{path}/kept")).status == 405
    assert (await scene.bot.delete(f"{path}/main")).status == 405
    assert list(scene.project.repository.refs()) == [
        "refs/heads/feature",
        "refs/heads/kept",
        "refs/heads/main",
    ]


async def test_raw_files_are_read_at_a_ref_and_only_by_who_may_read_code(scene):
    path = f"/projects/{scene.project.id}/repository/files"
    for ref in ("feature", scene.merge_request.head_sha):
        answer = await scene.reader.get(f"{path}/new.py/raw", params={"ref": ref})
        assert (answer.status, answer.body) == (200, "first\nsecond\n")
    for wrong in ({"ref": "main"}, {"ref": "nowhere"}):
        assert (await scene.reader.get(f"{path}/new.py/raw", params=wrong)).status == 404
    scene.gitlab.add_member(scene.project, scene.gitlab.bot, 10)
    assert (await scene.reader.get(f"{path}/app.py/raw")).status == 403


async def test_protected_branches_are_listed_with_their_patterns(scene):
    scene.gitlab.protect_branch(scene.project, "release/*")
    listed = (await scene.bot.get(f"/projects/{scene.project.id}/protected_branches")).body
    assert [one["name"] for one in listed] == ["main", "release/*"]
