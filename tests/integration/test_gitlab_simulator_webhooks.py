"""The simulated GitLab sends webhooks as a real one does; seen by a bare HTTP receiver."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid

import pytest

from tests.simulators.gitlab.webhooks import sign
from tests.simulators.gitlab.wire import opened_merge_request, receiving

pytestmark = pytest.mark.real

SIGNING_TOKEN = "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q="


@pytest.fixture
async def scene(tmp_path):
    async with opened_merge_request(tmp_path / "gitlab", hooks=True) as scene:
        yield scene


async def last_body(scene, kind="merge_request"):
    await scene.gitlab.settle()
    return scene.receiver.bodies(kind)[-1]


# --- delivery -------------------------------------------------------------------


async def test_behaviour_1_headers_are_those_of_a_project_hook(scene):
    headers = scene.receiver.requests[0].headers
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"] == "GitLab/18.4.1"
    assert headers["X-Gitlab-Event"] == "Merge Request Hook"
    assert headers["X-Gitlab-Token"] == "verbatim secret"
    assert headers["X-Gitlab-Instance"] == scene.gitlab.url
    for name in ("X-Gitlab-Event-UUID", "X-Gitlab-Webhook-UUID", "Idempotency-Key"):
        assert uuid.UUID(headers[name])


async def test_behaviour_2_webhook_uuid_is_per_delivery_and_the_key_per_event(scene):
    first = scene.gitlab.deliveries[0]
    await scene.gitlab.resend(first)
    await scene.gitlab.comment(scene.merge_request, "Hello")
    await scene.gitlab.settle()
    sent, again, other = [r.headers for r in scene.receiver.requests]
    assert sent["Idempotency-Key"] == again["Idempotency-Key"] != other["Idempotency-Key"]
    assert len({h["X-Gitlab-Webhook-UUID"] for h in (sent, again, other)}) == 3


async def test_behaviour_2_resend_works_over_the_api(scene):
    [hook] = (await scene.human.get(f"/projects/{scene.project.id}/hooks")).body
    path = f"/projects/{scene.project.id}/hooks/{hook['id']}/events"
    [event] = (await scene.human.get(path)).body
    assert event["response_status"] == "200"
    assert (await scene.human.post(f"{path}/{event['id']}/resend")).status == 201
    keys = [r.headers["Idempotency-Key"] for r in scene.receiver.requests]
    assert keys == [keys[0]] * 2


async def test_behaviour_3_signature_verifies_over_the_raw_bytes(scene):
    scene.gitlab.set_webhook(url=scene.receiver.url, signing_token=SIGNING_TOKEN)
    await scene.gitlab.comment(scene.merge_request, "Signed")
    await scene.gitlab.settle()
    received = scene.receiver.requests[-1]
    headers = received.headers
    assert headers["webhook-id"] == headers["Idempotency-Key"]
    key = base64.b64decode(SIGNING_TOKEN.removeprefix("whsec_"))

    def signature(raw):
        message = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + raw
        digest = hmac.new(key, message, hashlib.sha256).digest()
        return "v1," + base64.b64encode(digest).decode()

    assert headers["webhook-signature"] == signature(received.raw)
    assert headers["webhook-signature"] != signature(received.raw[:-1] + b" ")


async def test_behaviour_3_the_signature_is_the_one_of_the_published_vector():
    message_id, timestamp = "f5e5f430-f57b-4e6e-9fac-d9128cd7232f", "1764000000"
    signature = sign(SIGNING_TOKEN, message_id, timestamp, b'{"object_kind":"note"}')
    assert signature == "v1,+KIxe+0MYc3iWSUhVOkwp5quhDIOndHuGMAZnwZxrYg="


async def test_behaviour_3_without_a_signing_token_there_is_no_signature(scene):
    names = {name.lower() for name in scene.receiver.requests[0].headers}
    assert not names & {"webhook-id", "webhook-timestamp", "webhook-signature"}


async def test_behaviour_4_one_event_can_come_twice_under_different_keys(scene):
    await scene.gitlab.duplicate(scene.gitlab.deliveries[0])
    one, two = scene.receiver.requests
    assert one.raw == two.raw
    assert one.headers["Idempotency-Key"] != two.headers["Idempotency-Key"]


async def test_behaviour_5_events_can_arrive_in_any_order(scene):
    scene.gitlab.hold_webhooks()
    await scene.gitlab.set_title(scene.merge_request, "New title")
    await scene.gitlab.comment(scene.merge_request, "Hello")
    assert len(scene.receiver.requests) == 1
    await scene.gitlab.release_webhooks(lambda held: held[::-1])
    kinds = [r.body["object_kind"] for r in scene.receiver.requests]
    assert kinds == ["merge_request", "note", "merge_request"]


@pytest.mark.parametrize("trouble", ["status", "hang", "refused"])
async def test_behaviour_6_a_failed_delivery_is_not_repeated(scene, trouble):
    scene.gitlab.settings.webhook_timeout = 0.2
    if trouble == "status":
        scene.receiver.statuses = [500]
    elif trouble == "hang":
        scene.receiver.hang = True
    else:
        scene.gitlab.set_webhook(url="http://127.0.0.1:9/webhook")
    await scene.gitlab.comment(scene.merge_request, "Lost")
    await scene.gitlab.settle()
    lost = scene.gitlab.deliveries[-1]
    assert (lost.event, lost.succeeded) == ("note", False)
    assert len(scene.gitlab.deliveries) == 2
    updated = {"scope": "all", "updated_after": scene.merge_request.created_at.isoformat()}
    answer = await scene.reader.get("/merge_requests", params=updated)
    assert [m["iid"] for m in answer.body] == [scene.merge_request.iid]


async def test_behaviour_6_the_default_timeout_is_ten_seconds(scene):
    assert scene.gitlab.settings.webhook_timeout == 10


async def test_behaviour_7_four_failures_disable_the_hook_for_a_growing_time(scene):
    scene.gitlab.settings.auto_disable_hooks = True
    scene.receiver.statuses = [500] * 4

    async def comment():
        await scene.gitlab.comment(scene.merge_request, "x")
        await scene.gitlab.settle()
        return len(scene.receiver.requests)

    assert [await comment() for _ in range(5)] == [2, 3, 4, 5, 5]
    scene.receiver.statuses = [500]
    scene.gitlab.advance(61)
    assert await comment() == 6
    scene.gitlab.advance(61)
    assert await comment() == 6
    scene.gitlab.advance(60)
    assert await comment() == 7
    assert scene.project.hooks[0].failures == 0


async def test_behaviour_7_forty_failures_disable_for_good(scene):
    scene.gitlab.settings.auto_disable_hooks = True
    scene.project.hooks[0].failures = 39
    scene.receiver.statuses = [404]
    for _ in range(2):
        await scene.gitlab.comment(scene.merge_request, "x")
        await scene.gitlab.settle()
        scene.gitlab.advance(10**6)
    assert scene.project.hooks[0].permanently_disabled
    assert len(scene.receiver.requests) == 2


async def test_behaviour_7_without_the_flag_nothing_is_disabled(scene):
    scene.receiver.statuses = [500] * 6
    for _ in range(6):
        await scene.gitlab.comment(scene.merge_request, "x")
        await scene.gitlab.settle()
    assert len(scene.receiver.requests) == 7


async def test_behaviour_8_a_redirect_counts_as_success(scene):
    scene.receiver.statuses = [302]
    await scene.gitlab.comment(scene.merge_request, "x")
    await scene.gitlab.settle()
    assert scene.gitlab.deliveries[-1].succeeded
    assert len(scene.receiver.requests) == 2


async def test_behaviour_8_a_body_over_the_limit_is_not_sent(scene):
    assert scene.gitlab.settings.webhook_body_limit == 25 * 1024 * 1024
    scene.gitlab.settings.webhook_body_limit = 10_000
    await scene.gitlab.comment(scene.merge_request, "x" * 10_000)
    await scene.gitlab.settle()
    assert len(scene.receiver.requests) == 1
    assert "too large" in scene.gitlab.world.webhooks.dropped[-1].error


async def test_behaviour_9_a_system_hook_says_so_in_its_header_only(scene):
    async with receiving() as system:
        scene.gitlab.add_system_hook(url=system.url)
        await scene.gitlab.set_title(scene.merge_request, "New title")
        await scene.gitlab.settle()
        [request] = system.requests
    assert request.headers["X-Gitlab-Event"] == "System Hook"
    assert request.body["object_kind"] == "merge_request"


async def test_behaviour_10_the_bots_own_note_comes_back_and_system_notes_do_not(scene):
    await scene.bot.post(f"{scene.api}/notes", json={"body": "I am the bot"})
    await scene.gitlab.close(scene.merge_request)
    await scene.gitlab.settle()
    [body] = scene.receiver.bodies("note")
    assert body["object_attributes"]["author_id"] == scene.gitlab.bot.id
    assert scene.merge_request.notes[-1].system


async def test_behaviour_11_a_request_that_carries_the_event_uuid_fires_that_hook_no_more(scene):
    event_uuid = scene.receiver.requests[0].headers["X-Gitlab-Event-UUID"]
    headers = {"X-Gitlab-Event-UUID": event_uuid}
    path = f"{scene.api}/notes"
    await scene.bot.post(path, json={"body": "silent"}, headers=headers)
    await scene.gitlab.settle()
    assert scene.receiver.bodies("note") == []
    await scene.bot.post(path, json={"body": "loud"})
    await scene.gitlab.settle()
    assert len(scene.receiver.bodies("note")) == 1


# --- bodies ---------------------------------------------------------------------


async def test_behaviour_12_open_comes_after_the_diff(scene):
    scene.gitlab.settings.prepare_delay = 30
    scene.gitlab.commit(scene.project, branch="second", files={"s.py": "s\n"})
    second = await scene.gitlab.open_merge_request(scene.project, source_branch="second")
    path = f"/projects/{scene.project.id}/merge_requests/{second.iid}"
    assert (await scene.bot.get(path)).body["diff_refs"] is None
    assert len(scene.receiver.requests) == 1
    scene.gitlab.advance(31)
    body = await last_body(scene)
    assert body["object_attributes"]["action"] == "open"
    assert set(body["changes"]) == {"merge_status", "updated_at", "prepared_at"}
    assert (await scene.bot.get(path)).body["diff_refs"] is not None


async def test_behaviour_12_older_servers_send_open_before_the_diff(scene):
    scene.gitlab.settings.prepare_delay = 30
    scene.gitlab.settings.hook_before_diff = True
    scene.gitlab.commit(scene.project, branch="second", files={"s.py": "s\n"})
    second = await scene.gitlab.open_merge_request(scene.project, source_branch="second")
    while len(scene.receiver.requests) < 2:
        await scene.bot.get("/version")
    assert scene.receiver.bodies()[-1]["object_attributes"]["iid"] == second.iid
    path = f"/projects/{scene.project.id}/merge_requests/{second.iid}"
    assert (await scene.bot.get(path)).body["diff_refs"] is None


async def test_behaviour_13_a_push_shows_oldrev_and_the_new_head(scene):
    before = scene.merge_request.head_sha
    sha = await scene.gitlab.push(scene.project, branch="feature", files={"x.py": "x\n"})
    body = await last_body(scene)
    assert body["object_attributes"]["action"] == "update"
    assert body["object_attributes"]["oldrev"] == before
    assert body["object_attributes"]["last_commit"]["id"] == sha
    assert set(body["changes"]) == {"updated_at"}


async def test_behaviour_13_other_updates_have_no_oldrev(scene):
    await scene.gitlab.edit(scene.merge_request, labels=["bug"])
    labels = await last_body(scene)
    assert set(labels["changes"]) == {"labels"}
    await scene.gitlab.edit(scene.merge_request)
    nothing = await last_body(scene)
    assert (nothing["object_attributes"]["action"], nothing["changes"]) == ("update", {})
    assert not any("oldrev" in body["object_attributes"] for body in (labels, nothing))


async def test_behaviour_13_a_lost_webhook_leaves_the_push_to_the_poller(scene):
    sha = scene.gitlab.commit(scene.project, branch="feature", files={"x.py": "x\n"})
    await scene.gitlab.settle()
    assert len(scene.receiver.requests) == 1
    assert (await scene.bot.get(scene.api)).body["sha"] == sha


async def test_behaviour_14_a_draft_toggle_changes_draft_and_title(scene):
    await scene.gitlab.mark_draft(scene.merge_request)
    changes = (await last_body(scene))["changes"]
    assert changes["draft"] == {"previous": False, "current": True}
    assert changes["title"] == {"previous": "Change much", "current": "Draft: Change much"}
    scene.gitlab.settings.legacy_hooks = True
    await scene.gitlab.mark_ready(scene.merge_request)
    body = await last_body(scene)
    assert set(body["changes"]) == {"title", "updated_at"}
    assert "draft" not in body["object_attributes"]
    assert body["object_attributes"]["work_in_progress"] is False


async def test_behaviour_14_states_are_numbers(scene):
    await scene.gitlab.close(scene.merge_request)
    closed = await last_body(scene)
    await scene.gitlab.reopen(scene.merge_request)
    reopened = await last_body(scene)
    await scene.gitlab.merge(scene.merge_request)
    merged = await last_body(scene)
    bodies = (closed, reopened, merged)
    assert [b["object_attributes"]["action"] for b in bodies] == ["close", "reopen", "merge"]
    assert [b["changes"]["state_id"]["current"] for b in bodies] == [2, 1, 3]
    assert closed["changes"]["state_id"]["previous"] == 1


async def test_behaviour_14_a_retarget_names_the_branch_or_on_old_servers_only_the_check(scene):
    scene.gitlab.commit(scene.project, branch="stable", files={"s.py": "s\n"})
    await scene.gitlab.retarget(scene.merge_request, "stable")
    changes = (await last_body(scene))["changes"]
    assert changes["target_branch"] == {"previous": "main", "current": "stable"}
    scene.gitlab.settings.legacy_hooks = True
    await scene.gitlab.retarget(scene.merge_request, "main")
    assert set((await last_body(scene))["changes"]) == {"merge_status"}


async def test_behaviour_15_empty_people_are_absent_and_emails_redacted(scene):
    body = scene.receiver.requests[0].body
    assert "assignees" not in body
    assert "reviewers" not in body
    assert body["user"]["email"] == "[REDACTED]"
    await scene.gitlab.edit(scene.merge_request, reviewers=[scene.gitlab.bot])
    assert [u["username"] for u in (await last_body(scene))["reviewers"]] == ["copilot-agent"]


async def test_behaviour_15_source_and_last_commit_can_be_null(scene):
    scene.merge_request.source_project = None
    scene.merge_request.versions.clear()
    await scene.gitlab.comment(scene.merge_request, "x")
    attributes = (await last_body(scene, "note"))["merge_request"]
    assert (attributes["source"], attributes["last_commit"]) == (None, None)


async def test_behaviour_15_times_come_in_two_forms(scene):
    old = scene.receiver.requests[0].body["object_attributes"]["updated_at"]
    assert old.endswith(" UTC")
    scene.gitlab.settings.iso_hook_times = True
    await scene.gitlab.set_title(scene.merge_request, "New")
    new = (await last_body(scene))["object_attributes"]["updated_at"]
    assert new.endswith("Z")
    assert "T" in new


async def test_behaviour_16_note_actions_are_create_and_update_and_absent_before(scene):
    note = await scene.gitlab.comment(scene.merge_request, "Hello")
    assert (await last_body(scene, "note"))["object_attributes"]["action"] == "create"
    await scene.gitlab.edit_comment(scene.merge_request, note, "Hello @bot")
    updated = (await last_body(scene, "note"))["object_attributes"]
    assert (updated["action"], updated["note"]) == ("update", "Hello @bot")
    scene.gitlab.settings.legacy_hooks = True
    await scene.gitlab.comment(scene.merge_request, "Old")
    assert "action" not in (await last_body(scene, "note"))["object_attributes"]


NOTE_KEYS = (
    "attachment author_id change_position commit_id created_at discussion_id id internal "
    "line_code note noteable_id noteable_type original_position position project_id resolved_at "
    "resolved_by_id resolved_by_push st_diff system type updated_at updated_by_id description url "
    "action"
)


async def test_a_note_hook_has_every_field_of_a_comment_on_a_merge_request(scene):
    note = await scene.gitlab.comment(scene.merge_request, "/copilot rename it")
    await scene.gitlab.settle()
    body = scene.receiver.bodies("note")[-1]
    attributes = body["object_attributes"]
    assert sorted(NOTE_KEYS.split()) == sorted(attributes)
    assert (attributes["note"], attributes["discussion_id"]) == (note.body, note.discussion_id)
    assert (attributes["internal"], attributes["system"], attributes["type"]) == (
        False,
        False,
        None,
    )
    assert body["user"]["username"] == "alice"
    assert body["merge_request"]["iid"] == scene.merge_request.iid
    assert body["merge_request"]["last_commit"]["id"] == scene.merge_request.head_sha
    assert "changes" not in body["merge_request"]


async def test_a_note_hook_of_a_reply_names_its_thread_and_its_line(scene):
    await scene.discuss("app.py", body="Why?", new_line=10)
    [thread] = scene.gitlab.discussions(scene.merge_request)
    await scene.gitlab.comment(scene.merge_request, "/copilot fix this", discussion=thread)
    await scene.gitlab.settle()
    attributes = scene.receiver.bodies("note")[-1]["object_attributes"]
    assert (attributes["discussion_id"], attributes["type"]) == (thread.id, "DiffNote")
    assert attributes["position"]["new_line"] == 10
    note = await scene.gitlab.comment(scene.merge_request, "Alone")
    [_, single] = scene.gitlab.discussions(scene.merge_request)
    await scene.gitlab.comment(scene.merge_request, "No longer", discussion=single)
    await scene.gitlab.settle()
    attributes = scene.receiver.bodies("note")[-1]["object_attributes"]
    assert (attributes["discussion_id"], attributes["type"]) == (
        note.discussion_id,
        "DiscussionNote",
    )


async def test_an_internal_note_is_a_confidential_hook(scene):
    await scene.bot.post(f"{scene.api}/notes", json={"body": "quietly", "internal": True})
    await scene.gitlab.settle()
    request = scene.receiver.requests[-1]
    assert request.headers["X-Gitlab-Event"] == "Confidential Note Hook"
    assert request.body["event_type"] == "confidential_note"
    assert request.body["object_attributes"]["internal"] is True


async def test_resolving_the_last_thread_sends_an_update_without_changes(scene):
    discussion = (await scene.discuss("app.py", new_line=10)).body
    await scene.bot.put(f"{scene.api}/discussions/{discussion['id']}", json={"resolved": True})
    body = await last_body(scene)
    assert (body["object_attributes"]["action"], body["changes"]) == ("update", {})


async def test_a_hook_is_created_over_the_api_and_needs_a_maintainer(scene):
    path = f"/projects/{scene.project.id}/hooks"
    hook = {"url": scene.receiver.url, "token": "s", "merge_requests_events": True}
    assert (await scene.bot.post(path, json=hook)).status == 403
    answer = await scene.human.post(path, json=hook)
    assert (answer.status, answer.body["token_present"]) == (201, True)
    assert "token" not in answer.body
    assert (await scene.human.delete(f"{path}/{answer.body['id']}")).status == 204
