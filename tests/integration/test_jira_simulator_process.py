"""The simulated Jira as a child process, driven by its control side; raw HTTP only."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.simulators.jira import running_jira

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parents[2]


async def start(*options, **environment):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.simulators.jira",
        *options,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_says_where_it_is_and_ends_cleanly(number):
    process = await start()
    ready = json.loads(await process.stdout.readline())
    assert ready["pid"] == process.pid
    async with aiohttp.ClientSession() as session:
        answer = await session.get(f"{ready['url']}/-/sim/health")
        assert (await answer.json())["status"] == "ok"
    process.send_signal(number)
    assert await process.wait() == 0


async def test_the_demo_is_there_and_takes_the_login_given_from_outside():
    login = {"SIM_JIRA_EMAIL": "bot@example.test", "SIM_JIRA_API_TOKEN": "given"}
    process = await start("--demo", **login)
    try:
        url = json.loads(await process.stdout.readline())["url"]
        headers = {"Authorization": aiohttp.encode_basic_auth("bot@example.test", "given")}
        async with aiohttp.ClientSession(headers=headers) as session:
            answer = await session.get(f"{url}/rest/api/3/issue/DEMO-1")
            shown = await answer.json()
            again = await (await session.post(f"{url}/-/sim/demo/open")).json()
    finally:
        process.terminate()
        await process.wait()
    assert shown["fields"]["summary"] == "Call the price with tax what it is"
    assert again["key"] == "DEMO-1"


async def test_data_center_is_an_option():
    process = await start("--demo", "--data-center", SIM_JIRA_BEARER_TOKEN="given")
    try:
        url = json.loads(await process.stdout.readline())["url"]
        headers = {"Authorization": "Bearer given"}
        async with aiohttp.ClientSession(headers=headers) as session:
            answer = await session.get(f"{url}/rest/api/2/issue/DEMO-1")
            shown = await answer.json()
    finally:
        process.terminate()
        await process.wait()
    assert shown["fields"]["description"].startswith("New colleagues")


async def test_control_creates_moves_comments_and_orders_faults():
    async with running_jira() as jira, aiohttp.ClientSession() as session:

        async def control(method, path, body=None):
            url = f"{jira.url}/-/sim{path}"
            async with session.request(method, url, json=body) as answer:
                return answer.status, await answer.json()

        await control("POST", "/projects", {"key": "PROJ"})
        made = {"project": "PROJ", "summary": "Greet", "creator": "carol"}
        assert (await control("POST", "/issues", made))[1]["key"] == "PROJ-1"
        moved = {"status": "AI Ready", "by": "mallory"}
        _, shown = await control("POST", "/issues/PROJ-1/move", moved)
        await control("POST", "/issues/PROJ-1/comment", {"text": "Hello"})
        await control("POST", "/faults", {"path": "/myself$", "status": 503, "body": "busy"})
        async with session.get(f"{jira.url}/rest/api/3/myself") as answer:
            assert answer.status == 503
        requests = (await control("GET", "/requests"))[1]
        wrong = [
            (await control("POST", path, body))[0]
            for path, body in (
                ("/faults", {"colour": "red"}),
                ("/settings", {"data_center": True}),
                ("/issues/PROJ-1/move", {"status": "Nowhere"}),
            )
        ]
        _, settings = await control("POST", "/settings", {"search_lag": 3})
        _, now = await control("GET", "/issues/PROJ-1")

    [change] = shown["changes"]
    assert (shown["status"], change["author"]["displayName"]) == ("AI Ready", "Mallory")
    assert [entry["status"] for entry in requests] == [503]
    assert (wrong, settings["search_lag"]) == ([400, 400, 400], 3)
    assert len(now["comments"]) == 1
    assert jira.world.issues["PROJ-1"].creator.name == "carol"
