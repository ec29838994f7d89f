"""`gca up`: the whole system on this machine, shown as it happens, until Ctrl-C.

Embedded NATS, topology, the services as child processes and, without GITLAB_URL, the simulated
GitLab, Jira and model with a demo. Wired here because this is the wiring of one machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

from libs.common import telemetry
from libs.common.errors import AgentError, SettingsError
from libs.common.jetstream.access import Access
from libs.common.jetstream.apply import apply
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.server import NatsServer, running_nats
from libs.common.launching.local import LocalLauncher
from services.ops import addresses, environments
from services.ops.declared import declared
from services.ops.demo.run import INSTRUCTION, Demo
from services.ops.doctor import gitlab, machine
from services.ops.doctor.situation import Situation
from services.ops.places import ROOT, Places, announce, announced, default_root, withdraw
from services.ops.ports import Ports
from services.ops.services import Service, keep_running, wait_ready
from services.ops.settings import operators_settings
from services.ops.show import Screen
from services.ops.simulated import Simulated, running_simulators
from services.ops.watching import watch_log, watch_runners


async def up(*, demo_only: bool) -> int:
    """Run until Ctrl-C, or until the demo has shown its flows; the exit code."""
    screen = Screen(sys.stdout)
    # What happens to our own connection is shown by the services, which have the same one.
    telemetry.configure("gca", "ERROR")
    root = default_root()
    if announced(root) is not None:
        screen.trouble("another `gca up` runs on this folder; stop it first")
        return 1
    # The demo must never touch a real GitLab, whatever the caller's shell or .env holds.
    given = (
        environments.of_machine(os.environ) if demo_only else operators_settings(ROOT, os.environ)
    )
    try:
        async with AsyncExitStack() as stack:
            machine = Machine(stack, screen, given, Places(root, simulated=not _real(given)))
            stack.callback(withdraw, root)
            code = await machine.run(demo_only=demo_only)
            screen.done("stopping; services finish what they have in hand")
        screen.done("stopped")
        return code
    except SettingsError as error:
        screen.problems("cannot start; settings to mend:", error.problems)
        return 2
    except AgentError as error:
        screen.trouble(str(error))
        return 1


def _real(given: dict[str, str]) -> bool:
    return bool(given.get("GITLAB_URL"))


class Machine:
    """Everything one `gca up` starts; what was started is stopped in reverse order by `stack`."""

    def __init__(
        self, stack: AsyncExitStack, screen: Screen, given: dict[str, str], places: Places
    ) -> None:
        self.stack = stack
        self.screen = screen
        self.given = given
        self.places = places
        self.ports = stack.enter_context(contextlib.closing(Ports()))
        self.stopping = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self.stopping.set)

    async def run(self, *, demo_only: bool) -> int:
        self.screen.title("gitlab-copilot-agent", f"logs in {self.places.logs}")
        connection, nats_url = await self._nats()
        simulated = await self._simulators()
        settings = self.given | (simulated.settings if simulated else {})
        if simulated:
            settings |= await self._wall(settings)
        own = addresses.made(self.places, self.ports, nats_url, settings, real=_real(self.given))
        # Named before the services start, so that whoever stops us mid-way still ends the Jobs.
        self.stack.push_async_callback(self._end_jobs)
        await self._services(settings, own)
        brought = simulated.settings if simulated else {}
        announce(self.places.root, addresses.announcement(own, self.given, brought))
        self._watch(connection)
        if simulated is None:
            self._ready(own)
        else:
            opened = await self._open(simulated, own)
            if demo_only:
                demo = Demo(connection, simulated, self.screen, self.places, self.stopping)
                return await demo.run(opened)
            await self._invite(simulated)
        await self.stopping.wait()
        return 0

    def _ready(self, own: dict[str, str]) -> None:
        self._later(self._warn_of_rights())
        self.screen.done(f"webhook url for GitLab: {own['webhook_url']}")
        if not self.given.get("JIRA_URL"):
            self.screen.done("no Jira: JIRA_URL is not set, so work starts in GitLab only")
        self.screen.done("ready; press Ctrl-C to stop")

    async def _wall(self, settings: dict[str, str]) -> dict[str, str]:
        """Without bubblewrap only our own scripted model may code, and the screen says so."""
        if await machine.wall_works(settings.get("PATH")):
            return {}
        self.screen.trouble(
            "bubblewrap does not work here: the scripted model codes without a wall "
            "(ALLOW_UNSANDBOXED_CODING=true, for the simulated system only)"
        )
        return {"ALLOW_UNSANDBOXED_CODING": "true"}

    async def _nats(self) -> tuple[Connection, str]:
        url = self.given.get("NATS_URL", "")
        if not url:
            token = secrets.token_urlsafe(24)
            server = await self.stack.enter_async_context(
                running_nats(self.places.nats, token=token)
            )
            url = server.url
            self._later(self._keep_nats(server))
        connection = await self.stack.enter_async_context(
            connected(url, name="gca", on_closed=self.stopping.set, access=Access.of(self.given))
        )
        changes = await apply(connection, declared(self.given), replicas=1)
        self.screen.done(f"NATS up, topology {'applied' if changes else 'as it should be'}")
        return connection, url

    async def _keep_nats(self, server: NatsServer) -> None:
        """Start nats-server again when it dies; everything it acknowledged is in its store."""
        while True:
            await server.exited()
            if self.stopping.is_set():
                return
            self.screen.trouble("nats-server ended; starting it again")
            await asyncio.sleep(0.5)
            await server.start()

    async def _simulators(self) -> Simulated | None:
        if _real(self.given):
            return None
        simulated = await self.stack.enter_async_context(
            running_simulators(self.places, self.ports, self.given, self.screen.child_line)
        )
        brought = "GitLab, Jira and model" if simulated.jira_url else "GitLab and model"
        where = f"{simulated.gitlab_url} {simulated.jira_url}".strip()
        self.screen.done(f"simulated {brought} up  {where}")
        return simulated

    async def _end_jobs(self) -> None:
        """Jobs outlive a killed service by design, but not the end of `gca up`."""
        launcher = LocalLauncher(self.places.tasks, steps=lambda _: [], clones=self.places.clones)
        for job in await launcher.jobs():
            await launcher.cancel(job.job_name)

    async def _services(self, settings: dict[str, str], own: dict[str, str]) -> None:
        if settings.get("GITLAB_TOKEN") and not settings.get("GITLAB_READ_TOKEN"):
            self.screen.trouble(
                "GITLAB_READ_TOKEN is not set; reviews read with GITLAB_TOKEN, which can write"
            )
        services = []
        for name in environments.SERVICES:
            service = Service(
                name=name,
                environment=environments.environment(name, settings, own),
                log=self.places.logs / f"{name}.log",
                health_url=addresses.health_url(own, name),
            )
            services.append(service)
            await self._background(keep_running(service, self.screen, self.stopping))
        await wait_ready(services, self.screen, self.stopping)

    async def _warn_of_rights(self) -> None:
        """Say what the tokens could do and should not, or cannot and should (SR-30)."""
        situation = Situation(given=self.given, running=announced(self.places.root))
        for check in await gitlab.look(situation):
            if check.state != "ok":
                self.screen.trouble(f"{check.name}: {check.meaning} -> {check.mend}")

    def _watch(self, connection: Connection) -> None:
        self.stack.push_async_callback(self.screen.pause)
        for work in (
            watch_log(connection, self.screen),
            watch_runners(self.places.tasks, self.screen),
        ):
            self._later(work)

    async def _background(self, work: Coroutine[Any, Any, None]) -> None:
        """A task that is told to stop, and waited for, when the stack unwinds."""
        task = asyncio.create_task(work)

        async def end() -> None:
            self.stopping.set()
            await asyncio.gather(task, return_exceptions=True)

        self.stack.push_async_callback(end)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)

        async def cancel() -> None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        self.stack.push_async_callback(cancel)

    async def _open(self, simulated: Simulated, own: dict[str, str]) -> dict[str, Any]:
        """Open the demo merge request, whose webhook finds us."""
        hook = {"url": own["webhook_url"], "secret": own["GITLAB_WEBHOOK_SECRET"]}
        await simulated.gitlab("webhook", hook)
        opened = await simulated.gitlab("demo/open", {})
        self.screen.done(f"demo merge request opened  {opened['web_url']}")
        return opened

    async def _invite(self, simulated: Simulated) -> None:
        """Say what a person can do now to see the other flows."""
        self.screen.done(f"write `/copilot {INSTRUCTION}` in its comment box to get a commit")
        if simulated.jira_url:
            issue = await simulated.issue()
            status = simulated.settings["JIRA_TRIGGER_STATUS"]
            self.screen.done(
                f"move the demo issue to {status} to get a Draft merge request  {issue['web_url']}"
            )
        self.screen.done("running; press Ctrl-C to stop")
