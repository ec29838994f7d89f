"""The simulated GitLab keeps, publishes and loses draft notes as a real one does; raw HTTP only."""

from __future__ import annotations

import hashlib

import pytest

from tests.simulators.gitlab.wire import opened_merge_request

pytestmark = pytest.mark.real

APP = hashlib.sha1(b"app.py").hexdigest()


@pytest.fixture
async def scene(tmp_path):
    async with opened_merge_request(tmp_path / "gitlab", hooks=True) as scene:
        yield scene


async def publish(scene):
    return await scene.bot.post(f"{scene.api}/draft_notes/bulk_publish")


async def drafts_of_the_bot(scene):
    return (await scene.bot.get(f"{scene.api}/draft_notes")).body


async def test_a_good_draft_has_a_line_code_and_becomes_a_diff_note(scene):
    draft = await scene.draft("app.py", new_line=10)
    assert (draft.status, draft.body["line_code"]) == (201, f"{APP}_11_10")
    assert scene.gitlab.notes(scene.merge_request) == []
    assert (await publish(scene)).status == 204
    [note] = scene.gitlab.notes(scene.merge_request)
    assert (note.type, note.line_code, note.author) == (
        "DiffNote",
        f"{APP}_11_10",
        scene.gitlab.bot,
    )


async def test_behaviour_35_draft_outside_the_diff_is_accepted_then_lost_at_publish(scene):
    draft = await scene.draft("app.py", new_line=9)
    assert (draft.status, draft.body["line_code"]) == (201, None)
    assert (await publish(scene)).status == 204
    assert await drafts_of_the_bot(scene) == []
    assert scene.gitlab.notes(scene.merge_request) == []


@pytest.mark.parametrize("kind", ["too large", "pure rename"])
async def test_behaviour_35_draft_on_a_file_without_lines_is_lost_too(scene, kind):
    paths = {"old_path": "pure.py", "new_path": "moved.py", "old_line": 1, "new_line": 1}
    if kind == "too large":
        scene.gitlab.settings.max_patch_bytes = 10
        paths = {"old_path": "app.py", "new_path": "app.py", "new_line": 10}
    draft = await scene.draft("", **paths)
    assert (draft.status, draft.body["line_code"]) == (201, None)
    assert (await publish(scene)).status == 204
    assert scene.gitlab.notes(scene.merge_request) == []


async def test_behaviour_35_draft_without_a_position_becomes_a_thread_on_the_overview(scene):
    answer = await scene.bot.post(f"{scene.api}/draft_notes", json={"note": "In general"})
    assert (answer.status, answer.body["position"]["position_type"]) == (201, "text")
    incomplete = await scene.draft("app.py", note="Somewhere")
    assert incomplete.body["line_code"] is None
    assert (await publish(scene)).status == 204
    kinds = [(note.body, note.type) for note in scene.gitlab.notes(scene.merge_request)]
    assert kinds == [("In general", "DiscussionNote"), ("Somewhere", "DiscussionNote")]


async def test_behaviour_35b_draft_line_range_with_line_numbers_breaks_the_schema(scene):
    side = {"line_code": f"{APP}_11_10", "type": "new"}
    bad = {"start": {**side, "new_line": 10}, "end": {**side, "new_line": 10}}
    answer = await scene.draft("app.py", new_line=10, line_range=bad)
    wanted = {"message": {"position": ["must be a valid json schema"]}}
    assert (answer.status, answer.body) == (400, wanted)
    good = {"start": {"line_code": f"{APP}_9_9", "type": "old"}, "end": side}
    answer = await scene.draft("app.py", new_line=10, line_range=good)
    assert (answer.status, answer.body["position"]["line_range"]) == (201, good)


async def test_behaviour_36_drafts_are_their_authors_alone(scene):
    draft = (await scene.draft("app.py", new_line=10)).body
    path = f"{scene.api}/draft_notes"
    assert (await scene.human.get(path)).body == []
    assert (await scene.human.get(f"{path}/{draft['id']}")).status == 404
    assert (await scene.human.delete(f"{path}/{draft['id']}")).status == 404
    assert (await scene.human.post(f"{path}/bulk_publish")).status == 204
    assert [d["id"] for d in await drafts_of_the_bot(scene)] == [draft["id"]]


async def test_behaviour_36_a_second_reply_draft_to_a_thread_is_refused(scene):
    discussion = (await scene.discuss("app.py", new_line=10)).body
    reply = {"note": "One", "in_reply_to_discussion_id": discussion["id"]}
    assert (await scene.bot.post(f"{scene.api}/draft_notes", json=reply)).status == 201
    assert (await scene.bot.post(f"{scene.api}/draft_notes", json=reply)).status == 400
    unknown = {"note": "One", "in_reply_to_discussion_id": "0" * 40}
    answer = await scene.bot.post(f"{scene.api}/draft_notes", json=unknown)
    assert answer.status == 400
    assert "Thread to reply to cannot be found" in answer.body["message"]


async def test_behaviour_37_a_plain_reply_draft_unresolves_a_resolved_thread(scene):
    discussion = (await scene.discuss("app.py", new_line=10)).body
    path = f"{scene.api}/discussions/{discussion['id']}"
    await scene.bot.put(path, json={"resolved": True})
    reply = {"note": "One more thing", "in_reply_to_discussion_id": discussion["id"]}
    await scene.bot.post(f"{scene.api}/draft_notes", json=reply)
    assert (await publish(scene)).status == 204
    notes = (await scene.bot.get(path)).body["notes"]
    assert [(note["body"], note["resolved"]) for note in notes] == [
        ("Look here", False),
        ("One more thing", False),
    ]


async def test_behaviour_38_without_the_right_create_is_403_and_publish_500(scene):
    await scene.draft("app.py", new_line=10)
    scene.project.archived = True
    assert (await scene.draft("app.py", new_line=10)).status == 403
    assert (await publish(scene)).status == 500
    assert len(await drafts_of_the_bot(scene)) == 1


async def test_a_draft_is_changed_deleted_and_published_alone(scene):
    path = f"{scene.api}/draft_notes"
    one = (await scene.draft("app.py", note="One", new_line=10)).body["id"]
    two = (await scene.draft("app.py", note="Two", new_line=21)).body["id"]
    missing = await scene.bot.put(f"{path}/{one}", json={})
    assert missing.status == 400
    assert "Missing params to modify" in missing.body["message"]
    assert (await scene.bot.put(f"{path}/{one}", json={"note": "One!"})).status == 200
    assert (await scene.bot.put(f"{path}/{one}/publish")).status == 204
    assert (await scene.bot.delete(f"{path}/{two}")).status == 204
    assert [note.body for note in scene.gitlab.notes(scene.merge_request)] == ["One!"]
    assert await drafts_of_the_bot(scene) == []


async def test_behaviour_10_each_note_of_a_bulk_publish_fires_its_own_hook(scene):
    for line in (10, 21):
        await scene.draft("app.py", note=f"Line {line}", new_line=line)
    await publish(scene)
    await scene.gitlab.settle()
    bodies = scene.receiver.bodies("note")
    assert sorted(b["object_attributes"]["note"] for b in bodies) == ["Line 10", "Line 21"]
    assert {b["user"]["username"] for b in bodies} == {"copilot-agent"}
    assert bodies[0]["object_attributes"]["position"]["position_type"] == "text"


async def test_behaviour_33_commands_in_drafts_run_at_publish(scene):
    await scene.draft("app.py", note="Fine\n/approve", new_line=10)
    assert scene.gitlab.executed_commands == []
    await publish(scene)
    assert [c.command for c in scene.gitlab.executed_commands] == ["approve"]
    assert [note.body for note in scene.gitlab.notes(scene.merge_request)] == ["Fine"]


@pytest.mark.parametrize("status", [403, 404])
async def test_drafts_can_be_unavailable(scene, status):
    scene.gitlab.settings.drafts_status = status
    assert (await scene.draft("app.py", new_line=10)).status == status
    assert (await scene.bot.get(f"{scene.api}/draft_notes")).status == status
