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
