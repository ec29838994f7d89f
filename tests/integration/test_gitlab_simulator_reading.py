"""The simulated GitLab shows merge requests, diffs and pages as a real one does; raw HTTP only."""

from __future__ import annotations

import pytest

from tests.simulators.gitlab.wire import opened_merge_request

pytestmark = pytest.mark.real


@pytest.fixture
async def scene(tmp_path):
    async with opened_merge_request(tmp_path / "gitlab") as scene:
        yield scene


async def open_second(scene):
    scene.gitlab.commit(scene.project, branch="second", files={"s.py": "s\n"})
    second = await scene.gitlab.open_merge_request(scene.project, source_branch="second")
    return f"/projects/{scene.project.id}/merge_requests/{second.iid}"


async def test_the_current_user_is_the_bot_and_users_have_the_bot_flag(scene):
    user = (await scene.bot.get("/user")).body
    assert (user["username"], user["bot"]) == ("copilot-agent", True)
    human = (await scene.bot.get(f"/users/{scene.gitlab.alice.id}")).body
    assert (human["username"], human["bot"]) == ("alice", False)
    assert (await scene.bot.get("/version")).body["version"] == "18.4.1"


async def test_a_token_tells_its_scopes(scene):
    answer = await scene.reader.get("/personal_access_tokens/self")
    assert answer.body["scopes"] == ["read_api", "read_repository"]


async def test_a_merge_request_has_what_a_review_needs(scene):
    body = (await scene.reader.get(scene.api)).body
    head = scene.project.repository.branch("feature")
    base = scene.project.repository.branch("main")
    assert body["sha"] == head
    assert body["diff_refs"] == {"base_sha": base, "head_sha": head, "start_sha": base}
    assert body["changes_count"] == "6"
    assert (body["state"], body["draft"]) == ("opened", False)
    assert body["author"]["username"] == "alice"
    assert body["source_project_id"] == body["target_project_id"] == scene.project.id
    assert body["web_url"] == f"{scene.gitlab.url}/group/sub/app/-/merge_requests/1"


async def test_behaviour_18_a_new_merge_request_has_no_diff_until_it_is_prepared(scene):
    scene.gitlab.settings.prepare_delay = 20
    path = await open_second(scene)
    body = (await scene.bot.get(path)).body
    assert (body["diff_refs"], body["changes_count"]) == (None, None)
    assert (body["detailed_merge_status"], body["prepared_at"]) == ("preparing", None)
    assert (await scene.bot.get(f"{path}/versions")).body == []
    scene.gitlab.advance(21)
    await scene.gitlab.settle()
    ready = (await scene.bot.get(path)).body
    assert ready["diff_refs"]["head_sha"] == ready["sha"]
    assert (ready["changes_count"], ready["detailed_merge_status"]) == ("1", "mergeable")
    prepared = ready["prepared_at"]
    scene.gitlab.settings.prepare_delay = 0
    await scene.gitlab.push(scene.project, branch="second", files={"t.py": "t\n"})
    assert (await scene.bot.get(path)).body["prepared_at"] == prepared


async def test_behaviour_19_after_a_push_the_old_head_is_shown_for_a_while(scene):
    scene.gitlab.settings.sha_lag = 5
    old = scene.merge_request.head_sha
    new = await scene.gitlab.push(scene.project, branch="feature", files={"x.py": "x\n"})
    lagging = (await scene.bot.get(scene.api)).body
    assert (lagging["sha"], lagging["diff_refs"]["head_sha"]) == (old, old)
    scene.gitlab.advance(6)
    assert (await scene.bot.get(scene.api)).body["sha"] == new
    heads = [v["head_commit_sha"] for v in (await scene.bot.get(f"{scene.api}/versions")).body]
    assert heads == [new, old]


async def test_behaviour_20_lists_without_a_scope_hold_only_ones_own(scene):
    assert (await scene.bot.get("/merge_requests")).body == []
    assert len((await scene.human.get("/merge_requests")).body) == 1
    assert len((await scene.bot.get("/merge_requests", params={"scope": "all"})).body) == 1
    bad = await scene.bot.get("/merge_requests", params={"scope": "everything"})
    assert (bad.status, bad.body) == (400, {"error": "scope does not have a valid value"})


async def test_behaviour_21_unknown_and_hidden_things_are_404_with_their_own_words(scene):
    hidden = scene.gitlab.create_project("other/hidden", bot_access=0)
    for project in (99999, hidden.id, "other%2Fhidden"):
        answer = await scene.bot.get(f"/projects/{project}")
        assert (answer.status, answer.body) == (404, {"message": "404 Project Not Found"})
    unknown = await scene.bot.get(f"/projects/{scene.project.id}/merge_requests/999")
    assert (unknown.status, unknown.body) == (404, {"message": "404 Not found"})
    branch = await scene.bot.get(f"/projects/{scene.project.id}/repository/branches/none")
    assert (branch.status, branch.body) == (404, {"message": "404 Branch Not Found"})


async def test_behaviour_22_pages_have_links_and_an_empty_next_page_at_the_end(scene):
    for number in range(25):
        await scene.gitlab.comment(scene.merge_request, f"Note {number}")
    first = await scene.bot.get(f"{scene.api}/notes", params={"sort": "asc"})
    assert len(first.body) == 20
    assert first.headers["X-Total"] == "25"
    assert first.headers["X-Next-Page"] == "2"
    assert f"<{scene.gitlab.url}/api/v4{scene.api}/notes?" in first.headers["Link"]
    assert 'rel="next"' in first.headers["Link"]
    last = await scene.bot.get(f"{scene.api}/notes", params={"page": "2"})
    assert (len(last.body), last.headers["X-Next-Page"]) == (5, "")
    assert 'rel="next"' not in last.headers["Link"]
    clamped = await scene.bot.get(f"{scene.api}/notes", params={"per_page": "5000"})
    assert clamped.headers["X-Per-Page"] == "100"


async def test_behaviour_22_totals_are_absent_above_10000_rows(scene):
    note = await scene.gitlab.comment(scene.merge_request, "x")
    scene.merge_request.notes = [note] * 10_001
    answer = await scene.bot.get(f"{scene.api}/notes", params={"per_page": "1"})
    assert not {"X-Total", "X-Total-Pages"} & set(answer.headers)
    assert 'rel="last"' not in answer.headers["Link"]
    assert answer.headers["X-Next-Page"] == "2"


async def test_behaviour_22_a_page_of_notes_may_be_short_and_not_the_last(scene):
    scene.gitlab.settings.hidden_note_words = ("secret",)
    for text in ("secret one", "secret two", "seen"):
        await scene.gitlab.comment(scene.merge_request, text)
    query = {"per_page": "2", "sort": "asc"}
    short = await scene.bot.get(f"{scene.api}/notes", params=query)
    assert (short.body, short.headers["X-Next-Page"]) == ([], "2")


async def test_behaviour_22_keyset_pagination_is_refused(scene):
    answer = await scene.bot.get(f"{scene.api}/notes", params={"pagination": "keyset"})
    assert answer.status == 405


async def test_behaviour_23_large_files_are_collapsed_or_too_large_with_an_empty_diff(scene):
    files = {"mid.txt": "m" * 150 + "\n", "big.txt": "b" * 1500 + "\n"}
    await scene.gitlab.push(scene.project, branch="feature", files=files)
    scene.gitlab.settings.max_patch_bytes = 1000
    entries = (await scene.bot.get(f"{scene.api}/diffs")).body
    flags = {e["new_path"]: (e["collapsed"], e["too_large"], e["diff"]) for e in entries}
    assert flags["mid.txt"] == (True, False, "")
    assert flags["big.txt"] == (False, True, "")
    raw = await scene.bot.get(f"{scene.api}/changes", params={"access_raw_diffs": "true"})
    assert raw.body["overflow"] is False
    assert all(change["diff"] for change in raw.body["changes"] if not change["renamed_file"])


async def test_behaviour_23_changes_are_cut_with_overflow_and_raw_diffs_are_whole(scene):
    scene.gitlab.settings.max_files = 2
    changes = (await scene.bot.get(f"{scene.api}/changes")).body
    assert (len(changes["changes"]), changes["overflow"]) == (2, True)
    text = await scene.bot.get(f"{scene.api}/raw_diffs")
    assert text.headers["Content-Type"].startswith("text/plain")
    assert text.body.count("diff --git ") == 6
    [version] = (await scene.bot.get(f"{scene.api}/versions")).body
    assert version["state"] == "overflow"


async def test_diffs_start_at_the_first_hunk_unless_unidiff_is_asked(scene):
    entries = {e["new_path"]: e for e in (await scene.bot.get(f"{scene.api}/diffs")).body}
    assert entries["app.py"]["diff"].startswith("@@ -7,7 +7,7 @@")
    assert entries["new.py"]["new_file"]
    assert entries["new.py"]["old_path"] == "new.py"
    assert entries["gone.py"]["deleted_file"]
    renamed = entries["new_name.py"]
    assert (renamed["renamed_file"], renamed["old_path"]) == (True, "old_name.py")
    assert entries["moved.py"]["diff"] == ""
    unified = (await scene.bot.get(f"{scene.api}/diffs", params={"unidiff": "true"})).body
    assert unified[0]["diff"].startswith("--- a/app.py\n+++ b/app.py\n@@")


async def test_behaviour_24_changes_count_is_a_string_with_a_cap(scene):
    scene.gitlab.settings.max_files = 3
    assert (await scene.bot.get(scene.api)).body["changes_count"] == "3+"


async def test_versions_show_their_commits_and_diffs(scene):
    [version] = (await scene.bot.get(f"{scene.api}/versions")).body
    one = (await scene.bot.get(f"{scene.api}/versions/{version['id']}")).body
    assert [commit["title"] for commit in one["commits"]] == ["Change much"]
    assert len(one["diffs"]) == 6
    assert (version["state"], version["real_size"]) == ("collected", "6")
    commits = (await scene.bot.get(f"{scene.api}/commits")).body
    assert commits[0]["message"] == "Change much\n\nWhy.\n"


async def test_lists_filter_by_state_and_time_and_sort(scene):
    path = f"/projects/{scene.project.id}/merge_requests"
    scene.gitlab.advance(10)
    await open_second(scene)
    await scene.gitlab.close(scene.merge_request)

    async def iids(**query):
        return [m["iid"] for m in (await scene.bot.get(path, params=query)).body]

    assert await iids() == [2, 1]
    assert await iids(state="opened") == [2]
    assert await iids(state="closed") == [1]
    assert await iids(order_by="updated_at", sort="asc") == [2, 1]
    assert await iids(updated_after="2099-01-01T00:00:00Z") == []
    assert await iids(source_branch="second") == [2]
    assert (await scene.bot.get(path, params={"state": "odd"})).status == 400
    grouped = await scene.bot.get("/groups/group%2Fsub/merge_requests")
    assert len(grouped.body) == 2


async def test_a_comment_moves_updated_at_once_a_minute(scene):
    """GitLab's ThrottledTouch: the second comment within a minute leaves no trace there."""
    before = (await scene.bot.get(scene.api)).body["updated_at"]
    scene.gitlab.advance(30)
    await scene.gitlab.comment(scene.merge_request, "x")
    assert (await scene.bot.get(scene.api)).body["updated_at"] == before
    scene.gitlab.advance(31)
    await scene.gitlab.comment(scene.merge_request, "x")
    assert (await scene.bot.get(scene.api)).body["updated_at"] > before


async def test_behaviour_52_direct_and_inherited_members_are_told_apart(scene):
    planner = scene.gitlab.add_user("pia")
    scene.gitlab.add_member(scene.project, planner, 15, inherited=True)
    path = f"/projects/{scene.project.id}/members"
    assert (await scene.bot.get(f"{path}/{planner.id}")).status == 404
    every = await scene.bot.get(f"{path}/all/{planner.id}")
    assert (every.status, every.body["access_level"]) == (200, 15)
    planner.state = "blocked"
    assert (await scene.bot.get(f"{path}/all/{planner.id}")).body["state"] == "blocked"
    direct = await scene.bot.get(f"{path}/{scene.gitlab.bot.id}")
    assert (direct.status, direct.body["access_level"]) == (200, 30)


async def test_behaviour_58_links_show_the_external_url(scene):
    scene.gitlab.settings.external_url = "https://gitlab.example.com"
    body = (await scene.bot.get(scene.api)).body
    assert body["web_url"].startswith("https://gitlab.example.com/group/sub/app/")
    project = (await scene.bot.get(f"/projects/{scene.project.id}")).body
    assert project["http_url_to_repo"] == "https://gitlab.example.com/group/sub/app.git"
    for _ in range(2):
        await scene.gitlab.comment(scene.merge_request, "x")
    page = await scene.bot.get(f"{scene.api}/notes", params={"per_page": "1"})
    assert "<https://gitlab.example.com/api/v4/" in page.headers["Link"]


async def test_behaviour_59_ids_are_not_iids_and_paths_are_encoded(scene):
    wrong = f"/projects/{scene.project.id}/merge_requests/{scene.merge_request.id}"
    assert (await scene.bot.get(wrong)).status == 404
    assert (await scene.bot.get("/projects/group%2Fsub%2Fapp")).status == 200
    assert (await scene.bot.get("/projects/group/sub/app")).status == 404


async def test_behaviour_60_deleted_things_are_404_and_archived_ones_refuse_writes(scene):
    scene.project.archived = True
    assert (await scene.bot.get(scene.api)).status == 200
    for path in ("notes", "discussions"):
        answer = await scene.bot.post(f"{scene.api}/{path}", json={"body": "x"})
        assert answer.status == 403
    scene.gitlab.delete_merge_request(scene.merge_request)
    assert (await scene.bot.get(scene.api)).body == {"message": "404 Not found"}
    scene.gitlab.delete_project(scene.project)
    assert (await scene.bot.get(scene.api)).body == {"message": "404 Project Not Found"}


async def test_branches_commits_files_and_comparisons_are_shown(scene):
    path = f"/projects/{scene.project.id}/repository"
    branch = (await scene.bot.get(f"{path}/branches/feature")).body
    assert branch["commit"]["id"] == scene.merge_request.head_sha
    commit = (await scene.bot.get(f"{path}/commits/{scene.merge_request.head_sha}")).body
    assert commit["title"] == "Change much"
    query = {"from": "main", "to": "feature"}
    compared = (await scene.bot.get(f"{path}/compare", params=query)).body
    assert (len(compared["diffs"]), len(compared["commits"])) == (6, 1)
    raw = await scene.bot.get(f"{path}/files/with%20space.txt/raw", params={"ref": "feature"})
    assert (raw.status, raw.body) == (200, "after\n")
    missing = await scene.bot.get(f"{path}/files/none/raw")
    assert (missing.status, missing.body) == (404, {"message": "404 File Not Found"})


async def test_approving_and_merging_need_their_rights_and_the_right_sha(scene):
    stale = await scene.bot.post(f"{scene.api}/approve", json={"sha": "1" * 40})
    assert stale.status == 409
    assert (await scene.bot.post(f"{scene.api}/approve")).status == 201
    assert (await scene.bot.post(f"{scene.api}/approve")).status == 401
    await scene.gitlab.mark_draft(scene.merge_request)
    assert (await scene.bot.put(f"{scene.api}/merge")).status == 405
    await scene.gitlab.mark_ready(scene.merge_request)
    merged = await scene.bot.put(f"{scene.api}/merge")
    assert (merged.status, merged.body["state"]) == (200, "merged")
