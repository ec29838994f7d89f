"""The simulated GitLab takes and refuses comments as a real one does; raw HTTP only."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from tests.simulators.gitlab.wire import opened_merge_request

pytestmark = pytest.mark.real

NO_LINE = '400 Bad request - Note {:line_code=>["can\'t be blank", "must be a valid line code"]}'
APP = hashlib.sha1(b"app.py").hexdigest()


@pytest.fixture
async def scene(tmp_path):
    async with opened_merge_request(tmp_path / "gitlab") as scene:
        yield scene


def last_note(scene):
    return scene.gitlab.notes(scene.merge_request)[-1]


# --- positions ----------------------------------------------------------------


async def test_behaviour_25_an_added_line_takes_the_new_line_only(scene):
    answer = await scene.discuss("app.py", new_line=10)
    assert answer.status == 201
    assert answer.body["notes"][0]["type"] == "DiffNote"
    assert answer.body["notes"][0]["position"]["new_line"] == 10
    assert last_note(scene).line_code == f"{APP}_11_10"
    both = await scene.discuss("app.py", old_line=10, new_line=10)
    assert (both.status, both.body) == (400, {"message": NO_LINE})


async def test_behaviour_26_a_removed_line_takes_the_old_line_only(scene):
    assert (await scene.discuss("app.py", old_line=10)).status == 201
    assert last_note(scene).line_code == f"{APP}_10_10"


@pytest.mark.parametrize(("old", "new"), [(9, 9), (21, 22), (2, 2), (30, 31), (40, 41)])
async def test_behaviour_26_an_unchanged_line_takes_both_also_outside_hunks(scene, old, new):
    answer = await scene.discuss("app.py", old_line=old, new_line=new)
    assert answer.status == 201
    assert last_note(scene).line_code == f"{APP}_{old}_{new}"


@pytest.mark.parametrize(
    "lines",
    [
        {"new_line": 9},
        {"old_line": 9},
        {"old_line": 30, "new_line": 30},
        {"old_line": 41, "new_line": 42},
        {"old_line": 10, "new_line": 9},
        {"new_line": 99},
    ],
)
async def test_behaviour_26_a_line_that_is_not_there_is_refused_in_gitlabs_words(scene, lines):
    answer = await scene.discuss("app.py", **lines)
    assert (answer.status, answer.body) == (400, {"message": NO_LINE})
    assert scene.gitlab.notes(scene.merge_request) == []


async def test_behaviour_27_no_line_number_is_an_incomplete_position(scene):
    answer = await scene.discuss("app.py")
    assert answer.status == 400
    assert "is incomplete" in answer.body["message"]
    assert "line_code" in answer.body["message"]


async def test_behaviour_27_a_missing_sha_is_named(scene):
    position = scene.position("app.py", new_line=10)
    del position["base_sha"]
    answer = await scene.bot.post(
        f"{scene.api}/discussions", json={"body": "x", "position": position}
    )
    assert (answer.status, answer.body) == (400, {"error": "position[base_sha] is missing"})


async def test_behaviour_27_a_form_with_brackets_is_read_as_a_position(scene):
    position = scene.position("app.py", new_line=10)
    form = {f"position[{name}]": str(value) for name, value in position.items()}
    answer = await scene.bot.post(f"{scene.api}/discussions", data={"body": "x", **form})
    assert answer.status == 201


async def test_behaviour_27_an_unknown_position_type_is_refused(scene):
    answer = await scene.discuss("app.py", position_type="word", new_line=10)
    wanted = {"error": "position[position_type] does not have a valid value"}
    assert (answer.status, answer.body) == (400, wanted)


async def test_behaviour_28_a_file_outside_the_diff_is_refused(scene):
    answer = await scene.discuss("same.py", old_line=1, new_line=1)
    assert (answer.status, answer.body) == (400, {"message": NO_LINE})


async def test_behaviour_28_a_stale_head_is_accepted_and_an_unknown_sha_is_not(scene):
    old = scene.position("app.py", new_line=10)
    await scene.gitlab.push(scene.project, branch="feature", files={"later.py": "x\n"})
    stale = await scene.bot.post(f"{scene.api}/discussions", json={"body": "x", "position": old})
    assert stale.status == 201
    unknown = await scene.discuss("app.py", new_line=10, head_sha="1" * 40)
    assert (unknown.status, unknown.body) == (400, {"message": NO_LINE})


async def test_behaviour_29_a_renamed_file_needs_both_of_its_paths(scene):
    paths = {"old_path": "old_name.py", "new_path": "new_name.py"}
    assert (await scene.discuss("", **paths, new_line=5)).status == 201
    assert (await scene.discuss("new_name.py", new_line=5)).status == 400
    without = await scene.discuss("", old_path=None, new_path="new_name.py", new_line=5)
    assert (without.status, without.body) == (400, {"message": NO_LINE})


async def test_behaviour_29_a_new_and_a_deleted_file_take_their_path_twice(scene):
    assert (await scene.discuss("new.py", new_line=1)).status == 201
    code = hashlib.sha1(b"new.py").hexdigest() + "_0_1"
    assert last_note(scene).line_code == code
    assert (await scene.discuss("gone.py", old_line=1)).status == 201
    assert (await scene.discuss("with space.txt", new_line=1)).status == 201


async def test_behaviour_30_a_line_range_is_stored_and_echoed_with_the_note_on_its_end(scene):
    line_range = {
        "start": {"line_code": f"{APP}_9_9", "type": "old", "old_line": 9, "new_line": 9},
        "end": {"line_code": f"{APP}_11_10", "type": "new", "old_line": None, "new_line": 10},
    }
    answer = await scene.discuss("app.py", new_line=10, line_range=line_range)
    position = answer.body["notes"][0]["position"]
    assert (answer.status, position["line_range"], position["new_line"]) == (201, line_range, 10)


async def test_behaviour_31_a_merge_request_without_diff_refs_takes_no_diff_note(scene):
    scene.gitlab.settings.null_diff_refs = True
    answer = await scene.discuss("app.py", new_line=10)
    assert answer.status == 400
    assert "doesn't support new-style diff notes" in answer.body["message"]


async def test_a_file_note_needs_no_line(scene):
    answer = await scene.discuss("app.py", position_type="file")
    assert answer.status == 201
    assert last_note(scene).line_code is None
    assert (await scene.discuss("same.py", position_type="file")).status == 400


# --- notes --------------------------------------------------------------------


async def test_behaviour_32_a_body_too_long_or_blank_is_refused(scene):
    too_long = await scene.bot.post(f"{scene.api}/notes", json={"body": "x" * 1_000_001})
    assert too_long.status == 400
    assert "is too long (maximum is 1000000 characters)" in too_long.body["message"]
    blank = await scene.bot.post(f"{scene.api}/notes", json={"body": " \n"})
    assert blank.status == 400
    assert "can't be blank" in blank.body["message"]
    missing = await scene.bot.post(f"{scene.api}/notes", json={})
    assert (missing.status, missing.body) == (400, {"error": "body is missing"})


async def test_behaviour_33_a_note_of_commands_only_runs_them_and_saves_nothing(scene):
    answer = await scene.bot.post(f"{scene.api}/notes", json={"body": "/approve"})
    assert answer.status == 202
    assert "id" not in answer.body
    assert answer.body["commands_changes"] == {"approve": True}
    assert scene.merge_request.approved_by == [scene.gitlab.bot]
    assert scene.gitlab.notes(scene.merge_request) == []


@pytest.mark.parametrize("body", ["Fine.\n/close", "Fine.\r\n/close\r\n", "Fine.\r/close"])
async def test_behaviour_33_a_command_below_text_runs_and_is_taken_out(scene, body):
    answer = await scene.bot.post(f"{scene.api}/notes", json={"body": body})
    assert (answer.status, answer.body["body"]) == (201, "Fine.")
    assert scene.merge_request.state == "closed"
    assert [c.command for c in scene.gitlab.executed_commands] == ["close"]


@pytest.mark.parametrize(
    "body",
    [
        "```\n/close\n```",
        "> /close",
        ">>>\n/close\n>>>",
        "say /close",
        "\\/close",
        "/nosuch",
        "`/close`",
    ],
)
async def test_behaviour_33_text_that_only_looks_like_a_command_stays_text(scene, body):
    answer = await scene.bot.post(f"{scene.api}/notes", json={"body": body})
    assert (answer.status, answer.body["body"]) == (201, body)
    assert scene.gitlab.executed_commands == []


@pytest.mark.parametrize("path", ["discussions", "notes"])
async def test_behaviour_33_commands_run_in_discussions_and_notes_alike(scene, path):
    answer = await scene.bot.post(f"{scene.api}/{path}", json={"body": "Text\n/label ~bug"})
    assert answer.status == 201
    assert scene.merge_request.labels == ["bug"]


async def test_behaviour_33_a_command_without_the_right_does_not_run(scene):
    reporter = scene.gitlab.add_user("rita", project=scene.project, access_level=20)
    wire = scene.wire(scene.gitlab.add_token(reporter).value)
    assert (await wire.post(f"{scene.api}/notes", json={"body": "/close"})).status == 400
    assert (await wire.post(f"{scene.api}/notes", json={"body": "Hm\n/close"})).status == 201
    assert scene.merge_request.state == "opened"


async def test_behaviour_33_a_token_for_ai_workflows_may_not_run_commands(scene):
    token = scene.gitlab.add_token(scene.gitlab.bot, {"ai_workflows"})
    wire = scene.wire(token.value)
    answer = await wire.post(f"{scene.api}/notes", json={"body": "/approve"})
    wanted = "403 Forbidden - Quick actions cannot be used with AI workflows."
    assert (answer.status, answer.body) == (403, {"message": wanted})


async def test_notes_are_changed_and_deleted_by_their_author(scene):
    note = (await scene.bot.post(f"{scene.api}/notes", json={"body": "one"})).body
    path = f"{scene.api}/notes/{note['id']}"
    assert (note["type"], note["resolvable"], note["system"]) == (None, False, False)
    changed = await scene.bot.put(path, json={"body": "two"})
    assert (changed.status, changed.body["body"]) == (200, "two")
    dev = scene.gitlab.add_user("dora", project=scene.project)
    other = scene.wire(scene.gitlab.add_token(dev).value)
    assert (await other.put(path, json={"body": "three"})).status == 403
    assert (await scene.bot.delete(path)).status == 204
    gone = await scene.bot.get(path)
    assert (gone.status, gone.body) == (404, {"message": "404 Note Not Found"})


async def test_behaviour_34_a_reply_turns_an_individual_note_into_a_thread(scene):
    await scene.human.post(f"{scene.api}/notes", json={"body": "Why?"})
    [before] = (await scene.bot.get(f"{scene.api}/discussions")).body
    assert before["individual_note"] is True
    path = f"{scene.api}/discussions/{before['id']}/notes"
    assert (await scene.bot.post(path, json={"body": "Because."})).status == 201
    [after] = (await scene.bot.get(f"{scene.api}/discussions")).body
    assert after["individual_note"] is False
    assert [note["type"] for note in after["notes"]] == ["DiscussionNote", "DiscussionNote"]


async def test_behaviour_34_one_discussion_is_read_in_its_own_merge_request_only(scene):
    note = await scene.gitlab.comment(scene.merge_request, "/copilot why?")
    shown = await scene.reader.get(f"{scene.api}/discussions/{note.discussion_id}")
    assert [one["body"] for one in shown.body["notes"]] == ["/copilot why?"]
    other = await scene.gitlab.open_merge_request(scene.project, source_branch="feature")
    path = f"/projects/{scene.project.id}/merge_requests/{other.iid}/discussions"
    answer = await scene.reader.get(f"{path}/{note.discussion_id}")
    assert (answer.status, answer.body) == (404, {"message": "404 Discussion Not Found"})


async def test_behaviour_43_a_reply_that_timed_out_may_be_there(scene):
    note = await scene.gitlab.comment(scene.merge_request, "/copilot why?")
    path = f"{scene.api}/discussions/{note.discussion_id}/notes"
    scene.gitlab.faults.add(method="POST", path="/discussions/.+/notes$", commit=True, status=504)
    assert (await scene.bot.post(path, json={"body": "Because."})).status == 504
    assert [n.body for n in scene.gitlab.notes(scene.merge_request)][1:] == ["Because."]


async def test_behaviour_34_an_unknown_discussion_is_404(scene):
    path = f"{scene.api}/discussions/{'0' * 40}/notes"
    answer = await scene.bot.post(path, json={"body": "x"})
    assert (answer.status, answer.body) == (404, {"message": "404 Discussion Not Found"})


async def test_behaviour_34_a_system_note_takes_no_reply(scene):
    await scene.gitlab.close(scene.merge_request)
    note = scene.merge_request.notes[-1]
    path = f"{scene.api}/discussions/{note.discussion_id}/notes"
    answer = await scene.bot.post(path, json={"body": "x"})
    wanted = {"message": "400 Bad request - Discussion can not be replied to."}
    assert (answer.status, answer.body) == (400, wanted)


async def test_behaviour_34_a_reporter_may_not_resolve_and_a_developer_may(scene):
    discussion = (await scene.discuss("app.py", new_line=10)).body
    path = f"{scene.api}/discussions/{discussion['id']}"
    reporter = scene.gitlab.add_user("rita", project=scene.project, access_level=20)
    wire = scene.wire(scene.gitlab.add_token(reporter).value)
    assert (await wire.put(path, json={"resolved": True})).status == 403
    resolved = await scene.bot.put(path, json={"resolved": True})
    assert (resolved.status, resolved.body["notes"][0]["resolved"]) == (200, True)
    both = await scene.bot.put(
        f"{path}/notes/{discussion['notes'][0]['id']}", json={"resolved": False, "body": "x"}
    )
    assert both.status == 400


async def test_behaviour_39_the_same_emoji_twice_is_404(scene):
    note = (await scene.bot.post(f"{scene.api}/notes", json={"body": "one"})).body
    path = f"{scene.api}/notes/{note['id']}/award_emoji"
    first = await scene.bot.post(path, json={"name": "eyes"})
    assert (first.status, first.body["name"]) == (201, "eyes")
    second = await scene.bot.post(path, json={"name": "eyes"})
    wanted = {"message": "404 Award Emoji Name has already been taken Not Found"}
    assert (second.status, second.body) == (404, wanted)
    assert [award["name"] for award in (await scene.bot.get(path)).body] == ["eyes"]
    assert (await scene.human.delete(f"{path}/{first.body['id']}")).status == 401


async def test_an_emoji_is_taken_back_once_by_who_gave_it(scene):
    note = await scene.gitlab.comment(scene.merge_request, "/copilot help")
    path = f"{scene.api}/notes/{note.id}/award_emoji"
    given = (await scene.bot.post(path, json={"name": "eyes"})).body
    assert (given["user"]["id"], given["awardable_id"]) == (scene.gitlab.bot.id, note.id)
    assert (await scene.bot.delete(f"{path}/{given['id']}")).status == 204
    again = await scene.bot.delete(f"{path}/{given['id']}")
    assert (again.status, again.body) == (404, {"message": "404 Award Emoji Not Found"})
    assert (await scene.bot.post(path, json={"name": "eyes"})).status == 201


async def test_behaviour_40_suggestions_are_listed_with_the_lines_they_replace(scene):
    body = "Better:\n```suggestion:-1+1\nnine\nten\neleven\n```\n"
    answer = await scene.discuss("app.py", body=body, new_line=10)
    [suggestion] = answer.body["notes"][0]["suggestions"]
    assert (suggestion["from_line"], suggestion["to_line"]) == (9, 11)
    assert suggestion["from_content"] == "line 9\nline ten\nline 11\n"
    assert suggestion["to_content"] == "nine\nten\neleven\n"
    assert suggestion["appliable"] is True


async def test_behaviour_40_a_range_over_100_lines_is_no_suggestion(scene):
    body = "```suggestion:-101+0\nx\n```"
    answer = await scene.discuss("app.py", body=body, new_line=10)
    assert answer.body["notes"][0]["suggestions"] == []


async def test_behaviour_40_a_removed_line_has_no_suggestions(scene):
    answer = await scene.discuss("app.py", body="```suggestion\nx\n```", old_line=10)
    assert (answer.status, answer.body["notes"][0]["suggestions"]) == (201, [])


async def test_behaviour_41_the_301st_note_in_a_minute_is_refused_in_json(scene):
    scene.gitlab.settings.notes_per_minute = 3
    for _ in range(3):
        assert (await scene.bot.post(f"{scene.api}/notes", json={"body": "x"})).status == 201
    answer = await scene.bot.post(f"{scene.api}/notes", json={"body": "x"})
    text = "This endpoint has been requested too many times. Try again later."
    assert (answer.status, answer.body) == (429, {"message": {"error": text}})
    assert (await scene.human.post(f"{scene.api}/notes", json={"body": "x"})).status == 201
    scene.gitlab.advance(61)
    assert (await scene.bot.post(f"{scene.api}/notes", json={"body": "x"})).status == 201


async def test_behaviour_41_the_default_limit_is_300(scene):
    assert scene.gitlab.settings.notes_per_minute == 300


async def test_behaviour_44_closed_and_locked_merge_requests_take_notes_of_members(scene):
    scene.project.visibility = "public"
    stranger = scene.gitlab.add_user("stan")
    outside = scene.wire(scene.gitlab.add_token(stranger).value)
    assert (await outside.post(f"{scene.api}/notes", json={"body": "x"})).status == 201
    await scene.gitlab.close(scene.merge_request)
    scene.merge_request.discussion_locked = True
    assert (await scene.bot.post(f"{scene.api}/notes", json={"body": "x"})).status == 201
    assert (await outside.post(f"{scene.api}/notes", json={"body": "x"})).status == 403


# --- following a push -----------------------------------------------------------


async def test_behaviour_56_a_push_moves_positions_and_outdates_changed_lines(scene):
    await scene.discuss("app.py", new_line=10)
    await scene.discuss("app.py", new_line=21)
    changed, moved = scene.gitlab.notes(scene.merge_request)
    before = moved.position
    head = scene.project.repository.file("feature", "app.py").decode()
    text = "top\n" + head.replace("line ten\n", "line 10 again\n")
    sha = await scene.gitlab.push(scene.project, branch="feature", files={"app.py": text})
    assert (changed.outdated, moved.outdated) == (True, False)
    assert (moved.position.new_line, moved.position.head_sha) == (22, sha)
    assert moved.original_position == before
    assert changed.position.new_line == 10
    shown = (await scene.bot.get(f"{scene.api}/discussions")).body
    lines = [d["notes"][0]["position"]["new_line"] for d in shown if not d["notes"][0]["system"]]
    assert lines == [10, 22]


async def test_behaviour_56_discussions_outlive_a_force_push_and_a_deleted_branch(scene):
    await scene.discuss("app.py", new_line=10)
    other = scene.gitlab.commit(scene.project, branch="other", files={"z.py": "z\n"})
    await scene.gitlab.force_push(scene.project, branch="feature", sha=other)
    [note] = scene.gitlab.notes(scene.merge_request)
    assert (note.outdated, note.position) == (True, replace(note.original_position))
    await scene.gitlab.delete_branch(scene.project, branch="feature")
    answer = await scene.bot.get(scene.api)
    assert (answer.status, answer.body["sha"]) == (200, other)
    assert len(scene.gitlab.discussions(scene.merge_request)) == 1
