"""A healthy world for the doctor, which a test breaks in one place; fake programs and servers."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import shutil
import socket
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from libs.common.jetstream.apply import apply
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.server import NatsServer
from libs.common.jetstream.topology import topology
from services.ops.doctor.check import Check, Round
from services.ops.doctor.machine import pinned_cli
from services.ops.doctor.run import probes
from services.ops.doctor.situation import MAINTAINER_TOKEN, Situation
from services.ops.environments import SERVICES
from services.ops.places import Addresses
from services.ops.terminal import Terminal, terminal
from tests.simulators.gitlab import Project, SimulatedGitLab, running_gitlab
from tests.simulators.jira import SimulatedJira, running_jira
from tests.simulators.model import SimulatedModel, running_model

HOOK_URL = "http://127.0.0.1:9/webhook"
SECONDS = 2.5
"""Patience of the doctor here; a hanging peer costs a test no more."""


def dead_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class World:
    """All that the doctor looks at, and the settings it looks with."""

    folder: Path
    gitlab: SimulatedGitLab
    jira: SimulatedJira
    model: SimulatedModel
    connection: Connection
    nats: NatsServer
    project: Project
    settings: dict[str, str]
    running: Addresses | None
    stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    seconds: float = SECONDS

    def situation(self) -> Situation:
        return Situation(given=self.settings, running=self.running, seconds=self.seconds)

    async def look(self, name: str) -> list[Check]:
        """What the probe of this name says."""
        chosen = [probe for probe in probes(self.situation()) if probe.name == name]
        assert chosen, f"there is no probe {name}"
        return await Round().run(chosen)

    def program(self, name: str, text: str) -> Path:
        """A script that takes a program's place; alone on PATH with what scripts need."""
        folder = self.folder / "bin"
        folder.mkdir(exist_ok=True)
        script = folder / name
        script.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        self.settings["PATH"] = str(folder)
        return script

    def without_programs(self) -> None:
        empty = self.folder / "empty"
        empty.mkdir(exist_ok=True)
        self.settings["PATH"] = str(empty)

    async def answering(self, first: bytes) -> str:
        """Address of a server that says `first` to whoever comes, and then nothing."""

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(first)
            with contextlib.suppress(OSError):
                await reader.read()
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        self.stack.callback(server.close)
        return f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def http(self, handle: Callable[[web.Request], web.Response]) -> str:
        """Address of an HTTP server that gives every request to `handle`."""

        async def answer(request: web.Request) -> web.Response:
            return handle(request)

        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"


@asynccontextmanager
async def healthy(
    folder: Path, connection: Connection, nats_server: NatsServer
) -> AsyncIterator[World]:
    """Nothing is wrong in it: every check is ok."""
    await apply(connection, topology(), replicas=1)
    async with (
        contextlib.AsyncExitStack() as stack,
        running_gitlab(folder / "gitlab", webhook_url=HOOK_URL, webhook_secret="s") as gitlab,
        running_jira() as jira,
        running_model() as model,
    ):
        project = gitlab.create_project("group/app")
        jira.create_project("PROJ")
        settings = _settings(gitlab, model, nats_server) | _jira_settings(jira, project)
        world = World(
            folder=folder,
            gitlab=gitlab,
            jira=jira,
            model=model,
            connection=connection,
            nats=nats_server,
            project=project,
            settings=settings,
            running=None,
            stack=stack,
        )
        health = await world.http(lambda _: web.json_response({"status": "ready"}))
        world.running = Addresses(
            pid=os.getpid(),
            nats_url=nats_server.url,
            webhook_url=HOOK_URL,
            health=dict.fromkeys(SERVICES, health),
        )
        yield world


def _settings(
    gitlab: SimulatedGitLab, model: SimulatedModel, nats_server: NatsServer
) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "NATS_URL": nats_server.url,
        "GITLAB_URL": gitlab.url,
        "GITLAB_READ_TOKEN": gitlab.read_token,
        "GITLAB_TOKEN": gitlab.write_token,
        MAINTAINER_TOKEN: gitlab.human_token,
        "GITLAB_PROJECTS": "group/app",
        "GITLAB_WEBHOOK_SECRET": "a-secret-of-the-webhook",
        "COPILOT_PROVIDER_TYPE": "openai",
        "COPILOT_PROVIDER_BASE_URL": model.url,
        "COPILOT_PROVIDER_API_KEY": model.api_key,
        "COPILOT_MODEL": "sim-reviewer",
    }


def _jira_settings(jira: SimulatedJira, project: Project) -> dict[str, str]:
    return {
        "JIRA_URL": jira.url,
        "JIRA_EMAIL": jira.email,
        "JIRA_API_TOKEN": jira.api_token,
        "JIRA_PROJECT_MAP": json.dumps({"PROJ": {"gitlab_project_id": project.id}}),
    }


def fake_cli(world: World, said: str = "", code: int = 0) -> None:
    """A CLI that says this of its version; the right one when nothing is said."""
    text = said or f"GitHub Copilot CLI {pinned_cli()}."
    path = os.environ["PATH"]
    script = world.program("copilot", f"echo '{text}'; exit {code}")
    world.settings |= {"PATH": path, "COPILOT_CLI_PATH": str(script)}


def git_program() -> str:
    return shutil.which("git") or "git"


def screen(columns: str = "") -> tuple[Terminal, io.StringIO, io.StringIO]:
    """Something that is no terminal, with COLUMNS when given."""
    out, err = io.StringIO(), io.StringIO()
    return terminal(out, err, {"COLUMNS": columns}), out, err


def info(**fields: object) -> bytes:
    """A greeting of NATS."""
    return f"INFO {json.dumps(fields)}\r\n".encode()
