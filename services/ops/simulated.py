"""The simulated GitLab, Jira and model as child processes, and the settings that point at them.

Used by `up` when GITLAB_URL is not set. They are the simulators of the tests, told apart from the
real ones by nothing but their address.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import msgspec

from libs.common.errors import AgentError
from libs.common.gitlab.inspection import GitLabInspection
from libs.common.gitlab.server import Server
from libs.common.jira.server import JiraServer
from services.ops.environments import INHERITED
from services.ops.places import Places
from services.ops.ports import Ports
from services.ops.processes import Child, Line, running

READY_SECONDS = 30.0
PAGE_PORT, JIRA_PAGE_PORT = 8929, 8930
PROJECT = "demo/shop"
TRIGGER_STATUS = "AI Ready"
BOT_EMAIL = "copilot-agent@example.com"


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses and logins of the simulated peers; every secret is random for each start."""

    gitlab_url: str
    jira_url: str = ""
    """Empty where the operator has a Jira."""
    settings: dict[str, str]

    async def gitlab(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One call of the simulated GitLab's control interface."""
        return await _call(self.gitlab_url, path, body)

    async def issue(self) -> dict[str, Any]:
        """The demo's issue as the simulated Jira has it."""
        return await _call(self.jira_url, "demo/open", {})

    async def start_issue(self) -> dict[str, Any]:
        """Move the demo's issue to the trigger status, as a person would on its page."""
        key = (await self.issue())["key"]
        status = self.settings["JIRA_TRIGGER_STATUS"]
        return await _call(self.jira_url, f"issues/{key}/move", {"status": status})

    def jira_server(self) -> JiraServer:
        return JiraServer(
            url=self.jira_url,
            email=self.settings["JIRA_EMAIL"],
            api_token=self.settings["JIRA_API_TOKEN"],
        )


@contextlib.asynccontextmanager
async def running_simulators(
    places: Places, ports: Ports, given: Mapping[str, str], on_line: Line
) -> AsyncIterator[Simulated]:
    """All simulators, started and ready; stopped at the end. A Jira of the operator's stays."""
    async with AsyncExitStack() as stack:
        starter = _Starter(stack, places, on_line)
        key, read, write, jira = (secrets.token_urlsafe(24) for _ in range(4))
        model_child = await starter.start("model", {"SIM_MODEL_KEY": key})
        gitlab_child = await starter.start(
            "gitlab",
            {"SIM_READ_TOKEN": read, "SIM_WRITE_TOKEN": write},
            *("--demo", "--port", str(ports.take(PAGE_PORT)), "--folder", str(places.simulator)),
        )
        jira_child = None
        if not given.get("JIRA_URL"):
            login = {"SIM_JIRA_EMAIL": BOT_EMAIL, "SIM_JIRA_API_TOKEN": jira}
            port = str(ports.take(JIRA_PAGE_PORT))
            jira_child = await starter.start("jira", login, "--demo", "--port", port)
        model_url, gitlab_url = await asyncio.gather(_url(model_child), _url(gitlab_child))
        settings = {
            "GITLAB_URL": gitlab_url,
            "GITLAB_READ_TOKEN": read,
            "GITLAB_TOKEN": write,
            "COPILOT_PROVIDER_TYPE": "openai",
            "COPILOT_PROVIDER_BASE_URL": model_url,
            "COPILOT_PROVIDER_API_KEY": key,
            "COPILOT_MODEL": "sim-reviewer",
        }
        jira_url = ""
        if jira_child is not None:
            jira_url = await _url(jira_child)
            settings |= await _jira_settings(jira_url, jira, gitlab_url, read)
        yield Simulated(gitlab_url=gitlab_url, jira_url=jira_url, settings=settings)


class _Starter:
    """Starts simulators by name; the stack ends them."""

    def __init__(self, stack: AsyncExitStack, places: Places, on_line: Line) -> None:
        self._stack, self._places, self._on_line = stack, places, on_line
        self._inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}

    async def start(self, name: str, environment: Mapping[str, str], *arguments: str) -> Child:
        command = [
            sys.executable,
            "-m",
            f"tests.simulators.{name}",
            *(arguments or ("--port", "0")),
        ]
        log = self._places.logs / f"{name}.log"
        child = running(name, command, {**self._inherited, **environment}, log, self._on_line)
        return await self._stack.enter_async_context(child)


async def _jira_settings(url: str, token: str, gitlab_url: str, read: str) -> dict[str, str]:
    """The login, and the way from the demo's issues to the demo's project."""
    async with GitLabInspection(Server(url=gitlab_url, token=read)) as gitlab:
        project = await gitlab.find_project(PROJECT)
    target = {
        "gitlab_project_id": project.id,
        "clone_url": project.http_url_to_repo,
        "target_branch": project.default_branch,
    }
    return {
        "JIRA_URL": url,
        "JIRA_EMAIL": BOT_EMAIL,
        "JIRA_API_TOKEN": token,
        "JIRA_BEARER_TOKEN": "",
        "JIRA_PROJECT_MAP": json.dumps({"DEMO": target}),
        "JIRA_TRIGGER_STATUS": TRIGGER_STATUS,
        "JIRA_IN_PROGRESS_STATUS": "In Progress",
        "JIRA_IN_REVIEW_STATUS": "In Review",
        "JIRA_ALLOWED_USERS": "",
        "JIRA_POLL_INTERVAL": "1",
    }


async def _call(url: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
        session.post(f"{url}/-/sim/{path}", json=body) as response,
    ):
        if response.status >= 400:
            raise AgentError(f"the simulator at {url} answered {response.status} to {path}")
        found = await response.json()
        return dict(found) if isinstance(found, dict) else {}


async def _url(child: Child) -> str:
    """The address in the process's ready line; raises `AgentError` when none comes."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            while True:
                for line in child.lines:
                    with contextlib.suppress(msgspec.DecodeError, KeyError, TypeError):
                        return str(msgspec.json.decode(line)["url"])
                if child.code is not None:
                    break
                await asyncio.sleep(0.05)
    except TimeoutError:
        pass
    raise AgentError(f"the simulated {child.name} did not start; see {child.log}")
