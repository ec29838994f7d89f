"""Tokens, scopes, throttles and ordered faults of the simulated GitLab; raw HTTP only."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.simulators.gitlab.wire import opened_merge_request

pytestmark = pytest.mark.real


@pytest.fixture
async def scene(tmp_path):
    async with opened_merge_request(tmp_path / "gitlab") as scene:
        yield scene


async def test_a_missing_or_wrong_token_is_401(scene):
    for token in (None, "glpat-wrong"):
        answer = await scene.wire(token).get("/user")
        assert (answer.status, answer.body) == (401, {"message": "401 Unauthorized"})


async def test_bearer_and_private_token_are_both_taken(scene):
    bearer = {"Authorization": f"Bearer {scene.gitlab.read_token}"}
    assert (await scene.wire(None).get("/user", headers=bearer)).status == 200
    assert (await scene.reader.get("/user")).status == 200


async def test_behaviour_53_an_expired_token_is_invalid_on_every_call(scene):
    scene.gitlab.world.tokens[scene.gitlab.write_token].expired = True
    for path in ("/user", scene.api):
        answer = await scene.bot.get(path)
        assert (answer.status, answer.body["error"]) == (401, "invalid_token")
        assert answer.body["error_description"].startswith("Token is expired.")


async def test_behaviour_53_a_read_token_may_not_write(scene):
    answer = await scene.reader.post(f"{scene.api}/notes", json={"body": "x"})
    assert (answer.status, answer.body["error"]) == (403, "insufficient_scope")
    assert answer.body["scope"] == "api"
    assert (await scene.reader.get(scene.api)).status == 200


async def test_behaviour_53_a_project_without_access_is_404(scene):
    scene.gitlab.create_project("other/hidden", bot_access=0)
    assert (await scene.bot.get("/projects/other%2Fhidden")).status == 404
    assert (await scene.human.get("/projects/other%2Fhidden")).status == 200


async def test_behaviour_54_a_job_token_reads_and_does_not_write(scene):
    token = scene.gitlab.add_token(scene.gitlab.bot, (), kind="job").value
    wire, headers = scene.wire(None), {"JOB-TOKEN": token}
    assert (await wire.get(scene.api, headers=headers)).status == 200
    answer = await wire.post(f"{scene.api}/notes", json={"body": "x"}, headers=headers)
    assert answer.status == 403
    assert (await scene.wire(token).get(scene.api)).status == 401


async def test_behaviour_42_the_throttle_answers_in_text_with_its_headers(scene):
    scene.gitlab.settings.requests_per_minute = 2
    answers = [await scene.bot.get("/user") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    refused = answers[-1]
    assert refused.body == "Retry later\n"
    assert refused.headers["Content-Type"].startswith("text/plain")
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["RateLimit-Remaining"] == "0"
    scene.gitlab.advance(61)
    assert (await scene.bot.get("/user")).status == 200


async def test_behaviour_43_a_dropped_post_has_created_the_note(scene):
    scene.gitlab.faults.add(method="POST", path=r"/notes$", commit=True, drop=True)
    with pytest.raises(aiohttp.ClientError):
        await scene.bot.post(f"{scene.api}/notes", json={"body": "there"})
    assert [note.body for note in scene.gitlab.notes(scene.merge_request)] == ["there"]
    assert (await scene.bot.post(f"{scene.api}/notes", json={"body": "again"})).status == 201


async def test_behaviour_43_a_timed_out_bulk_publish_has_published(scene):
    await scene.draft("app.py", new_line=10)
    scene.gitlab.faults.add(method="POST", path="/bulk_publish$", commit=True, hang=True)
    impatient = aiohttp.ClientTimeout(total=0.5)
    with pytest.raises(TimeoutError):
        await scene.bot.post(f"{scene.api}/draft_notes/bulk_publish", timeout=impatient)
    assert len(scene.gitlab.notes(scene.merge_request)) == 1


async def test_behaviour_55_a_proxy_answers_in_html_as_often_as_ordered(scene):
    html = "<html><body>502 Bad Gateway</body></html>"
    scene.gitlab.faults.add(method="GET", path="/user$", times=2, status=502, body=html)
    answers = [await scene.bot.get("/user") for _ in range(3)]
    assert [answer.status for answer in answers] == [502, 502, 200]
    assert answers[0].body == html
    assert answers[0].headers["Content-Type"].startswith("text/html")


async def test_behaviour_55_a_read_only_instance_refuses_writes(scene):
    scene.gitlab.settings.read_only = True
    answer = await scene.bot.post(f"{scene.api}/notes", json={"body": "x"})
    assert answer.status == 403
    assert "read-only" in answer.body["message"]
    assert (await scene.bot.get(scene.api)).status == 200


async def test_a_fault_can_be_late_skip_some_and_carry_json_and_headers(scene):
    body = {"message": "503 Service Unavailable"}
    scene.gitlab.faults.add(
        path="/version$", skip=1, delay=0.05, status=503, body=body, headers={"Retry-After": "7"}
    )
    assert (await scene.bot.get("/version")).status == 200
    late = await scene.bot.get("/version")
    assert (late.status, late.body, late.headers["Retry-After"]) == (503, body, "7")
    assert scene.gitlab.requests[-1].seconds >= 0.05


async def test_a_hanging_request_ends_when_the_caller_leaves(scene):
    scene.gitlab.faults.add(path="/version$", hang=True)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await scene.bot.get("/version")
    assert (await scene.bot.get("/version")).status == 200


async def test_the_log_counts_calls_and_names_who_made_them(scene):
    scene.gitlab.requests.clear()
    await scene.bot.get(scene.api, params={"view": "simple"})
    await scene.wire("wrong").get("/user")
    first, second = scene.gitlab.requests
    assert (first.method, first.status, first.user) == ("GET", 200, "copilot-agent")
    assert (first.path, first.query) == (f"/api/v4{scene.api}", {"view": "simple"})
    assert (second.status, second.user) == (401, "")
    assert len(scene.gitlab.log.matching("GET", r"/merge_requests/\d+$")) == 1


async def test_an_unknown_route_is_answered_in_json(scene):
    answer = await scene.bot.get("/nowhere")
    assert (answer.status, answer.body) == (404, {"error": "404 Not Found"})
