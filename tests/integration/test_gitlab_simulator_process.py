"""The simulated GitLab as a child process, driven by its control side; raw HTTP only."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.simulators.gitlab.wire import opened_merge_request, receiving

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parents[2]


async def start(folder, *options, **environment):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.simulators.gitlab",
        "--folder",
        str(folder),
        *options,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_says_where_it_is_and_ends_cleanly(tmp_path, number):
    process = await start(tmp_path / "gitlab")
    ready = json.loads(await process.stdout.readline())
    assert ready["pid"] == process.pid
    async with aiohttp.ClientSession() as session:
        answer = await session.get(f"{ready['url']}/-/sim/health")
        assert (await answer.json())["status"] == "ok"
    process.send_signal(number)
    assert await process.wait() == 0


async def test_the_demo_is_opened_on_demand_with_tokens_from_outside(tmp_path):
    async with receiving() as receiver, aiohttp.ClientSession() as session:
        process = await start(
            tmp_path / "gitlab",
            "--demo",
            SIM_WEBHOOK_URL=receiver.url,
            SIM_WEBHOOK_SECRET="given secret",
            SIM_READ_TOKEN="given-read",
            SIM_WRITE_TOKEN="given-write",
        )
        try:
            url = json.loads(await process.stdout.readline())["url"]
            opened = await (await session.post(f"{url}/-/sim/demo/open")).json()
            again = await (await session.post(f"{url}/-/sim/demo/open")).json()
            path = f"{url}/api/v4/projects/{opened['project_id']}/merge_requests/{opened['iid']}"
            headers = {"PRIVATE-TOKEN": "given-read"}
            shown = await (await session.get(path, headers=headers)).json()
            deliveries = []
            async with asyncio.timeout(10):
                while not deliveries:
                    deliveries = await (await session.get(f"{url}/-/sim/deliveries")).json()
        finally:
            process.terminate()
            await process.wait()
    assert (again["iid"], shown["web_url"]) == (opened["iid"], opened["web_url"])
    assert [delivery["status"] for delivery in deliveries] == [200]
    [request] = receiver.requests
    assert request.headers["X-Gitlab-Token"] == "given secret"
    assert request.body["object_attributes"]["action"] == "open"


@pytest.fixture
async def scene(tmp_path):
    async with opened_merge_request(tmp_path / "gitlab") as scene:
        yield scene


async def control(scene, method, path, body=None):
    url = f"{scene.gitlab.url}/-/sim{path}"
    async with scene.session.request(method, url, json=body) as answer:
        return answer.status, await answer.json()


async def test_control_changes_a_merge_request_and_its_hooks_fire(scene):
    path = f"/projects/{scene.project.id}/merge_requests/{scene.merge_request.iid}"
    await control(scene, "POST", "/webhook", {"url": scene.receiver.url, "secret": "s"})
    pushed = await control(scene, "POST", f"{path}/push", {"files": {"x.py": "x\n"}})
    assert pushed[1]["head_sha"] == scene.merge_request.head_sha
    for action in ("draft", "ready", "close", "reopen"):
        assert (await control(scene, "POST", f"{path}/{action}"))[0] == 200
    await control(scene, "POST", f"{path}/comment", {"body": "Hello"})
    await scene.gitlab.settle()
    actions = [b["object_attributes"]["action"] for b in scene.receiver.bodies()]
    assert sorted(actions) == ["close", "reopen", "update", "update", "update"]
    assert len((await control(scene, "GET", "/deliveries"))[1]) == 6


async def test_control_commits_opens_and_orders_faults(scene):
    body = {"branch": "third", "files": {"t.py": "t\n", "b": {"base64": "AAEC"}}}
    status, answer = await control(scene, "POST", f"/projects/{scene.project.id}/commits", body)
    assert (status, answer["sha"]) == (200, scene.project.repository.branch("third"))
    opening = {"source_branch": "third", "title": "Third"}
    path = f"/projects/{scene.project.id}/merge_requests"
    assert (await control(scene, "POST", path, opening))[1]["iid"] == 2
    await control(scene, "POST", "/faults", {"path": "/user$", "status": 503, "body": "busy"})
    assert (await scene.bot.get("/user")).status == 503
    assert [r["status"] for r in (await control(scene, "GET", "/requests"))[1]] == [503]
    await control(scene, "DELETE", "/requests")
    assert (await control(scene, "GET", "/requests"))[1] == []
    assert (await control(scene, "POST", "/faults", {"colour": "red"}))[0] == 400
    assert (await control(scene, "POST", "/settings", {"sha_lag": 3}))[1]["sha_lag"] == 3


async def test_control_makes_people_members_and_takes_it_back(scene):
    project = f"/projects/{scene.project.id}"
    await control(scene, "POST", "/users", {"username": "dora"})
    dora = next(u for u in scene.gitlab.world.users.values() if u.username == "dora")
    token = (await control(scene, "POST", "/users/dora/tokens", {}))[1]["token"]
    assert (await scene.wire(token).get(scene.api)).status == 404
    expires = {"access_level": 30, "expires_at": "2099-01-01"}
    assert (await control(scene, "PUT", f"{project}/members/dora", expires))[0] == 200
    assert (await scene.wire(token).get(scene.api)).status == 200
    assert (await control(scene, "DELETE", f"{project}/members/dora"))[0] == 200
    assert (await scene.wire(token).get(scene.api)).status == 404
    assert (await control(scene, "POST", "/users/dora/block", {}))[0] == 200
    assert dora.state == "blocked"
    assert (await control(scene, "PUT", f"{project}/members/nobody", expires))[0] == 400


async def test_control_comments_as_somebody_in_a_thread_and_lists_what_is_there(scene):
    scene.gitlab.add_user("dora", project=scene.project)
    path = f"/projects/{scene.project.id}/merge_requests/{scene.merge_request.iid}"
    said = {"author": "dora", "body": "/copilot why?"}
    first = (await control(scene, "POST", f"{path}/comment", said))[1]
    again = {**said, "body": "And how?", "discussion_id": first["discussion_id"]}
    await control(scene, "POST", f"{path}/comment", again)
    change = {"note_id": first["note_id"], "body": "/copilot why so?"}
    await control(scene, "POST", f"{path}/edit_comment", change)
    notes = (await control(scene, "GET", f"{path}/notes"))[1]
    assert [note["body"] for note in notes] == ["/copilot why so?", "And how?"]
    assert {note["discussion_id"] for note in notes} == {first["discussion_id"]}
    assert {note["author"]["username"] for note in notes} == {"dora"}
    listing = f"/projects/{scene.project.id}/merge_requests"
    [record] = (await control(scene, "GET", listing))[1]
    assert (record["source_branch"], record["draft"]) == ("feature", False)


async def test_control_protects_deletes_forks_and_shows_pipelines(scene):
    project = f"/projects/{scene.project.id}"
    await control(scene, "PUT", f"{project}/protections/feature", {"push": 40})
    branch = await scene.bot.get(f"/projects/{scene.project.id}/repository/branches/feature")
    assert (branch.body["protected"], branch.body["can_push"]) == (True, False)
    await control(scene, "DELETE", f"{project}/protections/feature")
    scene.gitlab.add_user("erin")
    fork = {"path": "erin/app", "owner": "erin", "visibility": "public"}
    made = (await control(scene, "POST", f"{project}/forks", fork))[1]
    commit = {"branch": "fix", "files": {"f.py": "f\n"}, "author": "erin"}
    sha = (await control(scene, "POST", f"/projects/{made['id']}/commits", commit))[1]["sha"]
    [pipeline] = (await control(scene, "GET", f"/projects/{made['id']}/pipelines?sha={sha}"))[1]
    assert pipeline["ref"] == "fix"
    opening = {"source_branch": "fix", "source_project": "erin/app", "author": "erin"}
    opened = await control(scene, "POST", f"{project}/merge_requests", opening)
    assert opened[1]["head_sha"] == sha
    assert (await control(scene, "DELETE", f"{project}/branches/feature"))[0] == 200
    assert scene.merge_request.state == "closed"
