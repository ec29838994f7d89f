"""The whole system for a run of chaos: real services and NATS, simulated GitLab, Jira and model.

Services are started as `tests.chaos.service`, and again whenever they die. Whatever is killed here
is killed by SIGKILL.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from libs.common.jetstream.apply import apply
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.topology import topology
from libs.common.launching import state
from libs.common.launching.local import LocalLauncher
from libs.common.launching.state import Exit, JobFile, Running
from services.ops.environments import SERVICES, environment
from services.ops.processes import running
from services.ops.services import Service, wait_ready
from services.ops.show import Screen
from tests.chaos.servers import Nats, nats_on
from tests.chaos.service import python_of_jobs
from tests.e2e import system as e2e
from tests.simulators.gitlab import Project, SimulatedGitLab, running_gitlab
from tests.simulators.jira import SimulatedJira, running_jira
from tests.simulators.model import running_model

JIRA_PROJECT = "PROJ"
TEAMS = tuple(f"team{number}" for number in range(20))
"""Groups of the projects that people work in."""
MOST_BYTES = 256 * 1024**2
PATIENCE = {"LEASE_SECONDS": "2", "MAX_CONCURRENT_TASKS": "8", "TASK_TIMEOUT": "600"}
BUDGETS = {
    f"MAX_TASKS_PER_HOUR{of}": "2000" for of in ("", "_PLACE", "_USER", "_PROJECT")
}  # what is proven here is that nothing is lost, not that somebody is stopped


@dataclass
class World:
    """What runs; `launcher` sees the Jobs that the services start."""

    folder: Path
    nats: Nats
    connection: Connection
    gitlab: SimulatedGitLab
    jira: SimulatedJira
    project: Project
    """The one that issues of the Jira project `PROJ` are worked on in."""
    real: Project
    """The one whose Jobs are real: the real runner with the real CLI."""
    launcher: LocalLauncher
    screen: io.StringIO = field(default_factory=io.StringIO)
    services: dict[str, Service] = field(default_factory=dict)
    keeping: list[asyncio.Task[None]] = field(default_factory=list)
    """One for each service: it ends when the service has ended for good."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def kill(self, name: str) -> bool:
        """SIGKILL to the service; False while it is not running."""
        child = self.services[name].child
        if child is None or child.code is not None:
            return False
        return _kill(child.pid)

    def running_jobs(self) -> list[Path]:
        """Folders of Jobs that have not ended, of instant ones only."""
        real = f"-{self.real.id}-"
        return [
            folder
            for folder in sorted((self.folder / "tasks").glob("gca-*"))
            if (claim := state.read(folder / state.JOB, JobFile)) is not None
            and real not in claim.task_id
            and state.read(folder / state.EXIT, Exit) is None
        ]

    def kill_supervisor(self, job: Path) -> bool:
        found = state.read(job / state.SUPERVISOR, Running)
        return found is not None and _kill(found.pid)

    def kill_step(self, job: Path) -> bool:
        steps = state.read(job / state.STEPS, list[Running]) or []
        return bool(steps) and steps[-1].name == "run" and _kill(steps[-1].pid)

    async def stop_services(self) -> None:
        """SIGTERM to all; returns when they are gone."""
        self.stopping.set()
        await asyncio.gather(*self.keeping)

    def processes(self) -> list[str]:
        """Command lines of living processes that belong to this run, NATS and ourselves aside."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if (
                    any(str(self.folder) in word for word in words)
                    and "nats-server" not in words[0]
                ):
                    found.append(" ".join(words))
        return found


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@contextlib.asynccontextmanager
async def running_world(
    folder: Path, *, nodes: int = 1, poll: bool = False, blind: bool = False
) -> AsyncIterator[World]:
    """Start everything, and wait until it can work; `poll` is for ingest, `blind` the publisher."""
    async with contextlib.AsyncExitStack() as stack:
        nats = await nats_on(stack, folder / "nats", nodes)
        connection = await stack.enter_async_context(
            connected(nats.url, name="chaos", on_closed=lambda: None)
        )
        await apply(
            connection, topology(max_bytes=MOST_BYTES, durables=e2e._impatient()), replicas=nodes
        )
        gitlab = await stack.enter_async_context(running_gitlab(folder / "gitlab"))
        gitlab.settings.notes_per_minute = 10**6
        model = await stack.enter_async_context(running_model(mode="sim-reviewer"))
        jira = await stack.enter_async_context(running_jira())
        jira.create_project(JIRA_PROJECT)
        files = {"README.md": "# Tracked\n"}
        world = World(
            folder=folder,
            nats=nats,
            connection=connection,
            gitlab=gitlab,
            jira=jira,
            project=gitlab.create_project("tracked/app", files=files),
            real=gitlab.create_project("real/app", files={"app.py": "a\nb\nc\n"}),
            launcher=LocalLauncher(folder / "tasks", steps=lambda _: [], clones=folder / "clones"),
        )
        stack.push_async_callback(_end_jobs, world)
        own = e2e._own(folder, nats.url)
        mapped = e2e.Mapped(jira, world.project)
        given = e2e._settings(gitlab, model, "sim-reviewer") | e2e._jira_settings(mapped)
        given |= PATIENCE | BUDGETS | (settings_of_poller() if poll else {})
        await _start(stack, world, given, own, blind=blind)
        address = f"http://127.0.0.1:{own['PORT']}/webhook"
        gitlab.set_webhook(url=address, secret=e2e.WEBHOOK_SECRET)
        yield world


async def _start(
    stack: contextlib.AsyncExitStack,
    world: World,
    given: dict[str, str],
    own: dict[str, str],
    *,
    blind: bool,
) -> None:
    stack.push_async_callback(world.stop_services)
    (world.folder / "logs").mkdir()
    python = python_of_jobs(world.folder, [world.real.id])
    screen = Screen(world.screen)
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    for name in SERVICES:
        service = Service(
            name=name,
            environment=environment(name, inherited | given, own),
            log=world.folder / "logs" / f"{name}.log",
            health_url=f"http://127.0.0.1:{own[f'{name}_health']}",
        )
        world.services[name] = service
        command = [sys.executable, "-m", "tests.chaos.service", name, str(python)]
        if blind and name == "publisher":
            command.append("--blind")
        keeping = _keep(service, command, screen, world.stopping)
        world.keeping.append(asyncio.create_task(keeping))
    await wait_ready(list(world.services.values()), screen, world.stopping)


async def _keep(
    service: Service, command: list[str], screen: Screen, stopping: asyncio.Event
) -> None:
    """Run it until `stopping`; started again at once when it dies."""
    while not stopping.is_set():
        async with running(
            service.name, command, service.environment, service.log, screen.child_line
        ) as child:
            service.child = child
            ends = [asyncio.create_task(child.wait()), asyncio.create_task(stopping.wait())]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in ends:
                end.cancel()
        if not stopping.is_set() and child.code != -signal.SIGKILL:
            # Nobody here does this to it: it ended by itself.
            screen.trouble(f"{service.name} ended with code {child.code}")


async def _end_jobs(world: World) -> None:
    for job in await world.launcher.jobs():
        await world.launcher.cancel(job.job_name)


def settings_of_poller() -> dict[str, str]:
    """So that what no webhook told is seen all the same, soon and in all projects."""
    return {
        "GITLAB_POLL": "true",
        "GITLAB_POLL_INTERVAL": "5",
        "GITLAB_GROUPS": ",".join((*TEAMS, "tracked", "real")),
    }
