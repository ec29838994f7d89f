"""The whole system as a test sees it: real processes, real NATS, simulated GitLab, Jira and model.

Services get the environments that `gca up` gives them and are started again when they die.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from libs.common import subjects
from libs.common.events.envelope import Recorded
from libs.common.events.facts import NoteCommand
from libs.common.events.tasks import Result, Superseded, TaskPublished, TaskRequested
from libs.common.jetstream.apply import apply
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.server import running_nats
from libs.common.jetstream.topology import DURABLES, Durable, topology
from libs.common.launching.local import LocalLauncher
from services.ops.environments import SERVICES, environment
from services.ops.services import Service, keep_running, wait_ready
from services.ops.show import Screen
from tests.fixtures import nats
from tests.fixtures.ports import free_port
from tests.simulators.gitlab import MergeRequest, Project, SimulatedGitLab, running_gitlab
from tests.simulators.gitlab.state import DEVELOPER, Note, User
from tests.simulators.jira import Issue, SimulatedJira, running_jira
from tests.simulators.model import SimulatedModel, running_model

WEBHOOK_SECRET = "webhook-secret-canary-4711"
DOOR_SECRET = "door-secret-canary-0815-long"
JIRA_PROJECT = "PROJ"
TRIGGER_STATUS = "AI Ready"


@dataclass
class Mapped:
    """The simulated Jira, and the GitLab project that its project `PROJ` leads to."""

    jira: SimulatedJira
    project: Project

    def issue(self, summary: str, description: str = "", **more: object) -> Issue:
        """An issue in `To Do`; `move` starts it."""
        where = self.jira.world.projects[JIRA_PROJECT]
        return self.jira.create_issue(where, summary, description=description or None, **more)

    def move(self, issue: Issue, status: str = TRIGGER_STATUS) -> str:
        """Change the issue's status as alice; the id of the change."""
        return self.jira.move(issue, status)

    def calls(self, method: str, path: str) -> int:
        """How often Jira was asked so: a method ("" for any) and a regex over the path."""
        return len(self.jira.log.matching(method, path))


@dataclass
class System:
    """A running system; `screen` holds what `gca up` would have shown of its troubles."""

    folder: Path
    gitlab: SimulatedGitLab
    model: SimulatedModel
    connection: Connection
    services: dict[str, Service]
    launcher: LocalLauncher
    screen: io.StringIO
    mapped: Mapped | None = None
    """With `running_system(jira=True)`."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def log(self) -> JetStreamLog:
        return JetStreamLog(self.connection)

    def pid(self, name: str) -> int:
        child = self.services[name].child
        assert child is not None, f"{name} does not run"
        return child.pid

    def kill(self, name: str) -> None:
        """SIGKILL; the service is started again by itself."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid(name), signal.SIGKILL)

    @property
    def tracker(self) -> Mapped:
        assert self.mapped is not None, "start the system with jira=True"
        return self.mapped

    # --- what people do -------------------------------------------------------------

    def person(self, project: Project, access_level: int = DEVELOPER) -> User:
        """Somebody new with this role in the project; 0 for a stranger."""
        name = f"person{len(self.gitlab.world.users)}"
        if not access_level:
            return self.gitlab.add_user(name)
        return self.gitlab.add_user(name, project=project, access_level=access_level)

    async def note(
        self, mr: MergeRequest, text: str, *, access_level: int = DEVELOPER, by: User | None = None
    ) -> Note:
        """A note by `by`, else by somebody new with this role in the merge request's project."""
        author = by or self.person(mr.project, access_level)
        written = await self.gitlab.comment(mr, text, as_user=author)
        assert written is not None, "the note was quick actions only"
        return written

    # --- what became of it ------------------------------------------------------------

    async def history(self, mr: MergeRequest | Issue) -> list[Recorded]:
        return await self.log.history(_about(mr))

    async def commands(self, mr: MergeRequest) -> list[NoteCommand]:
        found = [r.event for r in await self.history(mr)]
        return [event for event in found if isinstance(event, NoteCommand)]

    async def results(self, mr: MergeRequest | Issue) -> list[Result]:
        found = [r.event for r in await self.history(mr)]
        return [event for event in found if isinstance(event, Result)]

    async def answer_to(
        self, mr: MergeRequest, note: Note, *, seconds: float = 60
    ) -> TaskPublished:
        """Wait for what was published for the command in this note, re-pinned ones included."""
        mark = f"-n{note.id}"

        def belongs(task_id: str) -> bool:
            return task_id.endswith(mark) or f"{mark}-p" in task_id

        return await self._publication(mr, belongs, f"the answer to note {note.id}", seconds)

    async def answer_to_issue(
        self, issue: Issue, *, after: TaskPublished | None = None, seconds: float = 60
    ) -> TaskPublished:
        """Wait for what was published for the issue: its first task, or the one after."""
        seen = "" if after is None else after.task_id
        return await self._publication(
            issue, lambda task_id: task_id != seen, f"the end of {issue.key}", seconds
        )

    async def _publication(
        self,
        about: MergeRequest | Issue,
        belongs: Callable[[str], bool],
        what: str,
        seconds: float,
    ) -> TaskPublished:
        """The last word; a task that was only put on another head has none."""

        async def found() -> TaskPublished | None:
            passed_on = {
                event.task_id for event in await self.results(about) if _has_successor(event)
            }
            return next(
                (
                    event
                    for event in await self.published(about)
                    if belongs(event.task_id) and event.task_id not in passed_on
                ),
                None,
            )

        record = await self.until(found, what, seconds=seconds)
        assert isinstance(record, TaskPublished)
        return record

    def calls(self, method: str, path: str) -> int:
        """How often GitLab was asked so: a method ("" for any) and a regex over the path."""
        return len(self.gitlab.log.matching(method, path))

    async def requested(self, mr: MergeRequest | Issue) -> list[TaskRequested]:
        found = [r.event for r in await self.history(mr)]
        return [event for event in found if isinstance(event, TaskRequested)]

    async def published(self, mr: MergeRequest | Issue) -> list[TaskPublished]:
        found = [r.event for r in await self.history(mr)]
        return [event for event in found if isinstance(event, TaskPublished)]

    async def review_of(
        self, mr: MergeRequest, head_sha: str | None = None, *, seconds: float = 60
    ) -> TaskPublished:
        """Wait for the record that this head's task was published, whatever its outcome."""
        sha = head_sha or mr.head_sha

        async def found() -> TaskPublished | None:
            records = await self.published(mr)
            return next((p for p in records if p.head_sha == sha), None)

        record = await self.until(found, f"the review of {sha[:12]}", seconds=seconds)
        assert isinstance(record, TaskPublished)
        return record

    async def until(self, look: Callable[[], object], what: str, *, seconds: float = 30) -> object:
        """Wait until `look` answers something true; fails with what the services said."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    seen = look()
                    seen = await seen if asyncio.iscoroutine(seen) else seen
                    if seen:
                        return seen
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(
                f"waited {seconds} s for {what}\n{self.screen.getvalue()[-4000:]}"
            ) from None

    def logs(self) -> str:
        """Everything that any process of the system has written to its log files."""
        files = [*self.folder.glob("logs/*.log"), *self.folder.glob("tasks/**/*.log")]
        return "\n".join(file.read_text(errors="replace") for file in files)


@contextlib.asynccontextmanager
async def running_system(
    folder: Path,
    *,
    mode: str = "sim-reviewer",
    settings: dict[str, str] | None = None,
    services: tuple[str, ...] = SERVICES,
    jira: bool = False,
) -> AsyncIterator[System]:
    """Start everything and wait until it can work; nothing is left running afterwards.

    With `jira` there is a simulated Jira too, whose project PROJ leads to a project in GitLab.
    """
    async with contextlib.AsyncExitStack() as stack:
        nats = await stack.enter_async_context(running_nats(folder / "nats", token="nats-canary"))
        connection = await stack.enter_async_context(
            connected(nats.url, name="test", on_closed=lambda: None)
        )
        await apply(connection, topology(durables=_impatient()), replicas=1)
        gitlab = await stack.enter_async_context(running_gitlab(folder / "gitlab"))
        model = await stack.enter_async_context(running_model(mode=mode))
        launcher = LocalLauncher(folder / "tasks", steps=lambda _: [], clones=folder / "clones")
        stack.push_async_callback(_end_jobs, launcher)
        screen = io.StringIO()
        system = System(
            folder=folder,
            gitlab=gitlab,
            model=model,
            connection=connection,
            services={},
            launcher=launcher,
            screen=screen,
        )
        own = _own(folder, nats.url)
        given = _settings(gitlab, model, mode)
        if jira:
            system.mapped = await stack.enter_async_context(_mapped(gitlab))
            given |= _jira_settings(system.mapped)
        given |= settings or {}
        await _start(stack, system, services, given, own)
        gitlab.set_webhook(url=f"http://127.0.0.1:{own['PORT']}/webhook", secret=WEBHOOK_SECRET)
        yield system


@contextlib.asynccontextmanager
async def _mapped(gitlab: SimulatedGitLab) -> AsyncIterator[Mapped]:
    async with running_jira() as jira:
        jira.create_project(JIRA_PROJECT)
        files = {"app.py": "def price(total):\n    return total\n", "README.md": "# Tracked\n"}
        yield Mapped(jira, gitlab.create_project("tracked/app", files=files))


def _about(what: MergeRequest | Issue) -> str:
    if isinstance(what, Issue):
        key, _, number = what.key.rpartition("-")
        return subjects.history(key, number)
    return subjects.history(what.project.id, what.iid)


def _has_successor(event: Result) -> bool:
    return isinstance(event, Superseded) and bool(event.next_task_id)


async def _start(
    stack: contextlib.AsyncExitStack,
    system: System,
    names: tuple[str, ...],
    given: dict[str, str],
    own: dict[str, str],
) -> None:
    (system.folder / "logs").mkdir(exist_ok=True)
    screen = Screen(system.screen)
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    for name in names:
        service = Service(
            name=name,
            environment=environment(name, inherited | given, own),
            log=system.folder / "logs" / f"{name}.log",
            health_url=f"http://127.0.0.1:{own[f'{name}_health']}",
            longest_pause=0.2,
        )
        system.services[name] = service
        stack.push_async_callback(
            _stop, asyncio.create_task(keep_running(service, screen, system.stopping)), system
        )
    await wait_ready(list(system.services.values()), screen, system.stopping)


async def _stop(task: asyncio.Task[None], system: System) -> None:
    system.stopping.set()
    await task


async def _end_jobs(launcher: LocalLauncher) -> None:
    for job in await launcher.jobs():
        await launcher.cancel(job.job_name)


async def delivered_again(system: System) -> None:
    """Each service gets every event of the log once more; comes back when all are settled."""
    for durable in _impatient():
        await system.connection.api(f"CONSUMER.DELETE.{durable.stream}.{durable.name}")
    await apply(system.connection, topology(durables=_impatient()), replicas=1)

    async def settled() -> bool:
        found = [await nats.settled(system.connection, durable.name) for durable in _impatient()]
        return all(found)

    await system.until(settled, "every event to be settled again", seconds=90)


def _impatient() -> tuple[Durable, ...]:
    """The real durables, but what a killed service had in hand comes again soon."""
    return tuple(msgspec.structs.replace(durable, ack_wait=3) for durable in DURABLES)


def _own(folder: Path, nats_url: str) -> dict[str, str]:
    ports = {name: str(free_port()) for name in ("PORT", "TASK_DOOR_PORT")}
    return ports | {
        "NATS_URL": nats_url,
        "HOST": "127.0.0.1",
        "TASK_DOOR_URL": f"http://127.0.0.1:{ports['TASK_DOOR_PORT']}",
        "TASK_DOOR_SECRET": DOOR_SECRET,
        "TASK_STATE_DIR": str(folder / "tasks"),
        "CLONE_DIR": str(folder / "clones"),
        "GITLAB_WEBHOOK_SECRET": WEBHOOK_SECRET,
        **{f"{name}_health": str(free_port()) for name in SERVICES},
    }


def _settings(gitlab: SimulatedGitLab, model: SimulatedModel, mode: str) -> dict[str, str]:
    return {
        "GITLAB_URL": gitlab.url,
        "GITLAB_READ_TOKEN": gitlab.read_token,
        "GITLAB_TOKEN": gitlab.write_token,
        "COPILOT_PROVIDER_TYPE": "openai",
        "COPILOT_PROVIDER_BASE_URL": model.url,
        "COPILOT_PROVIDER_API_KEY": model.api_key,
        "COPILOT_MODEL": mode,
        "LOG_LEVEL": "INFO",
    }


def _jira_settings(mapped: Mapped) -> dict[str, str]:
    target = {
        "gitlab_project_id": mapped.project.id,
        "clone_url": mapped.project.http_url,
        "target_branch": "main",
    }
    return {
        "JIRA_URL": mapped.jira.url,
        "JIRA_EMAIL": mapped.jira.email,
        "JIRA_API_TOKEN": mapped.jira.api_token,
        "JIRA_PROJECT_MAP": json.dumps({JIRA_PROJECT: target}),
        "JIRA_TRIGGER_STATUS": TRIGGER_STATUS,
        "JIRA_POLL_INTERVAL": "1",
    }
