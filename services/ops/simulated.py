"""The simulated GitLab and model as child processes, and the settings that point at them.

Used by `up` when GITLAB_URL is not set. They are the simulators of the tests, told apart from a
real GitLab by nothing but their address.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec

from libs.common.errors import AgentError
from services.ops.environments import INHERITED
from services.ops.places import Places, free_port
from services.ops.processes import Child, Line, running

READY_SECONDS = 30.0
PAGE_PORT = 8929


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses and tokens of the simulated peers; every secret is random for each start."""

    gitlab_url: str
    settings: dict[str, str]

    async def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One call of the simulator's control interface."""
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
            session.post(f"{self.gitlab_url}/-/sim/{path}", json=body) as response,
        ):
            if response.status >= 400:
                raise AgentError(f"the simulated GitLab answered {response.status} to {path}")
            found = await response.json()
            return dict(found) if isinstance(found, dict) else {}


@contextlib.asynccontextmanager
async def running_simulators(places: Places, on_line: Line) -> AsyncIterator[Simulated]:
    """Both simulators, started and ready; stopped at the end."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    model_key, read, write = (secrets.token_urlsafe(24) for _ in range(3))
    model_command = [sys.executable, "-m", "tests.simulators.model", "--port", "0"]
    gitlab_command = [
        *(sys.executable, "-m", "tests.simulators.gitlab", "--demo"),
        *("--port", str(free_port(PAGE_PORT)), "--folder", str(places.simulator)),
    ]
    model_environment = inherited | {"SIM_MODEL_KEY": model_key}
    gitlab_environment = inherited | {"SIM_READ_TOKEN": read, "SIM_WRITE_TOKEN": write}
    logs = places.logs
    async with (
        running("model", model_command, model_environment, logs / "model.log", on_line) as model,
        running(
            "gitlab", gitlab_command, gitlab_environment, logs / "gitlab.log", on_line
        ) as gitlab,
    ):
        model_url, gitlab_url = await asyncio.gather(_url(model), _url(gitlab))
        yield Simulated(
            gitlab_url=gitlab_url,
            settings={
                "GITLAB_URL": gitlab_url,
                "GITLAB_READ_TOKEN": read,
                "GITLAB_TOKEN": write,
                "COPILOT_PROVIDER_TYPE": "openai",
                "COPILOT_PROVIDER_BASE_URL": model_url,
                "COPILOT_PROVIDER_API_KEY": model_key,
                "COPILOT_MODEL": "sim-reviewer",
            },
        )


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
