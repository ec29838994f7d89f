"""Merge requests are created in the simulated GitLab as in a real one; raw HTTP only."""

from __future__ import annotations

import pytest

from tests.simulators.gitlab.wire import opened_merge_request

pytestmark = pytest.mark.real


@pytest.fixture
async def scene(tmp_path):
    async with opened_merge_request(tmp_path / "gitlab", hooks=True) as scene:
        scene.gitlab.commit(scene.project, branch="agent/SHOP-1", files={"a.py": "a\n"})
        yield scene


async def create(scene, *, wire=None, project=None, **fields):
    given = {"source_branch": "agent/SHOP-1", "target_branch": "main", "title": "Draft: SHOP-1"}
    body = {name: value for name, value in (given | fields).items() if value is not None}
    path = f"/projects/{(project or scene.project).id}/merge_requests"
    return await (wire or scene.bot).post(path, json=body)


async def test_a_merge_request_is_created_as_a_draft_by_its_title_and_told_to_the_hooks(scene):
    answer = await create(scene, description="As asked in SHOP-1.", labels="agent,shop")
    body = answer.body
    assert (answer.status, body["state"], body["draft"]) == (201, "opened", True)
    assert (body["iid"], body["detailed_merge_status"]) == (2, "draft_status")
    assert (body["author"]["username"], body["labels"]) == ("copilot-agent", ["agent", "shop"])
    assert body["sha"] == scene.project.repository.branch("agent/SHOP-1")
    assert body["web_url"] == f"{scene.project.web_url}/-/merge_requests/2"
    query = {"source_branch": "agent/SHOP-1", "state": "opened"}
    path = f"/projects/{scene.project.id}/merge_requests"
    assert [m["iid"] for m in (await scene.bot.get(path, params=query)).body] == [2]
    await scene.gitlab.settle()
    last = scene.receiver.bodies()[-1]["object_attributes"]
    assert (last["action"], last["iid"], last["draft"]) == ("open", 2, True)


async def test_behaviour_18_a_created_merge_request_has_no_diff_refs_at_first(scene):
    scene.gitlab.settings.prepare_delay = 60
    body = (await create(scene)).body
    assert (body["diff_refs"], body["detailed_merge_status"]) == (None, "preparing")


async def test_behaviour_45_a_second_one_is_409_with_the_first_ones_number(scene):
    assert (await create(scene)).status == 201
    again = await create(scene, title="Another title")
    twin = "Another open merge request already exists for this source branch: !2"
    assert (again.status, again.body) == (409, {"message": [twin]})


@pytest.mark.parametrize("end", ["close", "merge"])
async def test_behaviour_45_after_the_first_has_ended_a_second_is_created(scene, end):
    await create(scene)
    await getattr(scene.gitlab, end)(scene.project.merge_requests[2])
    again = await create(scene)
    assert (again.status, again.body["iid"]) == (201, 3)


async def test_behaviour_45_another_target_is_no_second_one(scene):
    await create(scene)
    assert (await create(scene, target_branch="feature")).status == 201


async def test_behaviour_46_source_and_target_must_differ(scene):
    answer = await create(scene, source_branch="main")
    words = "You can't use same project/branch for source and target"
    assert (answer.status, answer.body) == (422, {"message": [words]})


@pytest.mark.parametrize("name", ["source_branch", "target_branch"])
async def test_behaviour_46_a_branch_that_does_not_exist_is_refused(scene, name):
    answer = await create(scene, **{name: "nowhere"})
    assert (answer.status, answer.body) == (400, {"message": {name: ["does not exist"]}})


async def test_behaviour_46_without_a_difference_it_is_created_and_cannot_be_merged(scene):
    main = scene.project.repository.branch("main")
    scene.project.repository.set_ref("refs/heads/same", main)
    answer = await create(scene, source_branch="same", title="Nothing new")
    assert (answer.status, answer.body["detailed_merge_status"]) == (201, "commits_status")
    assert answer.body["changes_count"] == "0"


async def test_a_title_of_more_than_255_characters_or_none_is_refused(scene):
    assert (await create(scene, title="x" * 255)).status == 201
    long = await create(scene, title="x" * 256, target_branch="feature")
    words = "is too long (maximum is 255 characters)"
    assert (long.status, long.body) == (400, {"message": {"title": [words]}})
    blank = await create(scene, title=" ", target_branch="feature")
    assert (blank.status, blank.body) == (400, {"message": {"title": ["can't be blank"]}})
    missing = await create(scene, title=None, source_branch=None)
    assert (missing.status, missing.body) == (
        400,
        {"error": "title is missing, source_branch is missing"},
    )


async def test_sr_24_quick_actions_in_a_description_run_with_the_creators_rights(scene):
    answer = await create(scene, description="Summary.\n/approve\n/label ~urgent\n\nThe end.")
    assert (answer.status, answer.body["description"]) == (201, "Summary.\n\nThe end.")
    assert answer.body["labels"] == ["urgent"]
    assert scene.project.merge_requests[2].approved_by == [scene.gitlab.bot]
    ran = [(c.username, c.command) for c in scene.gitlab.executed_commands]
    assert ran == [("copilot-agent", "approve"), ("copilot-agent", "label")]


async def test_creating_needs_a_developer_and_a_token_that_may_write(scene):
    assert (await create(scene, wire=scene.reader)).status == 403
    scene.gitlab.add_member(scene.project, scene.gitlab.bot, 20)
    assert (await create(scene)).body == {"message": "403 Forbidden"}
    scene.gitlab.remove_member(scene.project, scene.gitlab.bot)
    assert (await create(scene)).status == 404


async def test_behaviour_43_a_creation_that_timed_out_may_have_happened(scene):
    scene.gitlab.faults.add(method="POST", path="/merge_requests$", commit=True, status=502)
    assert (await create(scene)).status == 502
    assert (await create(scene)).status == 409
    assert list(scene.project.merge_requests) == [1, 2]


# --- forks ------------------------------------------------------------------------


@pytest.fixture
async def fork(scene):
    erin = scene.gitlab.add_user("erin")
    scene.project.visibility = "public"
    fork = scene.gitlab.fork_project(scene.project, "erin/app", visibility="public", owner=erin)
    scene.gitlab.commit(fork, branch="fix", files={"f.py": "f\n"}, author=erin)
    return fork, scene.wire(scene.gitlab.add_token(erin).value)


async def test_behaviour_47_a_fork_asks_its_target_through_its_own_project(scene, fork):
    project, erin = fork
    fields = {"source_branch": "fix", "target_project_id": scene.project.id}
    answer = await create(
        scene, wire=erin, project=project, **fields, allow_collaboration=True, title="Fix"
    )
    body = answer.body
    assert (answer.status, body["iid"], body["project_id"]) == (201, 2, scene.project.id)
    assert (body["source_project_id"], body["target_project_id"]) == (
        project.id,
        scene.project.id,
    )
    assert body["allow_collaboration"] is True
    await scene.gitlab.settle()
    last = scene.receiver.bodies()[-1]
    assert last["project"]["id"] == scene.project.id
    assert last["object_attributes"]["source_project_id"] == project.id
    path = f"/projects/{scene.project.id}/merge_requests/2"
    taken_back = await erin.put(path, json={"allow_collaboration": False})
    assert taken_back.body["allow_collaboration"] is False


async def test_behaviour_47_within_one_project_there_is_no_collaboration_to_allow(scene):
    body = (await create(scene, allow_collaboration=True)).body
    assert "allow_collaboration" not in body


async def test_behaviour_47_a_project_that_is_no_fork_of_the_target_is_refused(scene):
    other = scene.gitlab.create_project("group/other")
    answer = await create(scene, target_project_id=other.id)
    assert (answer.status, answer.body) == (
        422,
        {"message": ["Source project is not a fork of the target project"]},
    )
    hidden = scene.gitlab.create_project("group/hidden", bot_access=0)
    assert (await create(scene, target_project_id=hidden.id)).status == 404
