"""`gca up`: the whole system on this machine, shown as it happens, until Ctrl-C.

Embedded NATS, topology, the services as child processes and, without GITLAB_URL, the simulated
GitLab and model with a demo merge request. Wired here because this is the wiring of one machine.
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
from libs.common.jetstream.apply import apply
from libs.common.jetstream.connection import Connection, connected
from libs.common.jetstream.server import NatsServer, running_nats
from libs.common.jetstream.topology import topology
from libs.common.launching.local import LocalLauncher
from services.ops import demo, environments
from services.ops.doctor import gitlab
from services.ops.doctor.situation import Situation
from services.ops.places import (
    ROOT,
    Addresses,
    Places,
    announce,
    announced,
    default_root,
    free_port,
    preferred_port,
    withdraw,
)
from services.ops.services import Service, keep_running, wait_ready
from services.ops.settings import operators_settings
from services.ops.show import Screen
from services.ops.simulated import Simulated, running_simulators
from services.ops.watching import watch_log, watch_runners

SERVICES = ("ingest", "reviewer", "publisher")
ANY_HOST = "0.0.0.0"  # noqa: S104  # a GitLab elsewhere must reach the webhook
DEFAULT_HEALTH = {"ingest": 8081, "reviewer": 8082, "publisher": 8084}


async def up(*, demo_only: bool) -> int:
    """Run until Ctrl-C, or until the demo review is there; the exit code."""
    screen = Screen(sys.stdout)
    # What happens to our own connection is shown by the services, which have the same one.
    telemetry.configure("gca", "ERROR")
    root = default_root()
    if announced(root) is not None:
        screen.trouble("another `gca up` runs on this folder; stop it first")
        return 1
    # The demo must never touch a real GitLab, whatever the caller's shell or .env holds.
    given = {} if demo_only else operators_settings(ROOT, os.environ)
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
        self.stopping = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self.stopping.set)

    async def run(self, *, demo_only: bool) -> int:
        self.screen.title("gitlab-copilot-agent", f"logs in {self.places.logs}")
        connection, nats_url = await self._nats()
        simulated = await self._simulators()
        settings = self.given | (simulated.settings if simulated else {})
        addresses = self._addresses(nats_url, settings)
        # Named before the services start, so that whoever stops us mid-way still ends the Jobs.
        self.stack.push_async_callback(self._end_jobs)
        await self._services(settings, addresses)
        announce(self.places.root, self._announcement(addresses, simulated))
        self._watch(connection)
        if simulated is None:
            self._later(self._warn_of_rights())
            self.screen.done(f"webhook url for GitLab: {addresses['webhook_url']}")
            self.screen.done("ready; press Ctrl-C to stop")
            await self.stopping.wait()
            return 0
        code = await self._demonstrate(simulated, connection, addresses, demo_only=demo_only)
        if not demo_only:
            self.screen.done("running; press Ctrl-C to stop")
            await self.stopping.wait()
            return 0
        return code

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
            connected(url, name="gca", on_closed=self.stopping.set)
        )
        changes = await apply(connection, topology(), replicas=1)
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
            running_simulators(self.places, self.screen.child_line)
        )
        self.screen.done(f"simulated GitLab and model up  {simulated.gitlab_url}")
        return simulated

    def _addresses(self, nats_url: str, settings: dict[str, str]) -> dict[str, str]:
        port = free_port(preferred_port(settings, "PORT", 8000))
        door = free_port(preferred_port(settings, "TASK_DOOR_PORT", 8001))
        found = {
            "NATS_URL": nats_url,
            "PORT": str(port),
            "HOST": settings.get("HOST")
            or ("0.0.0.0" if _real(settings) and _real(self.given) else "127.0.0.1"),  # noqa: S104  # GitLab must reach the webhook
            "TASK_DOOR_PORT": str(door),
            "TASK_DOOR_HOST": "127.0.0.1",
            "TASK_DOOR_URL": f"http://127.0.0.1:{door}",
            "TASK_DOOR_SECRET": self.places.secret("task-door"),
            "TASK_STATE_DIR": str(self.places.tasks),
            "CLONE_DIR": str(self.places.clones),
            "GITLAB_READ_TOKEN": environments.read_token(settings),
            "webhook_url": f"http://127.0.0.1:{port}/webhook",
        }
        if not _real(self.given):
            found["GITLAB_WEBHOOK_SECRET"] = self.places.secret("webhook")
        for name, health in DEFAULT_HEALTH.items():
            found[f"{name}_health"] = str(free_port(health))
        return found

    async def _end_jobs(self) -> None:
        """Jobs outlive a killed service by design, but not the end of `gca up`."""
        launcher = LocalLauncher(self.places.tasks, steps=lambda _: [], clones=self.places.clones)
        for job in await launcher.jobs():
            await launcher.cancel(job.job_name)

    def _announcement(self, addresses: dict[str, str], simulated: Simulated | None) -> Addresses:
        secret = addresses.get("GITLAB_WEBHOOK_SECRET") or self.given.get(
            "GITLAB_WEBHOOK_SECRET", ""
        )
        return Addresses(
            pid=os.getpid(),
            nats_url=addresses["NATS_URL"],
            webhook_url=addresses["webhook_url"],
            webhook_secret=secret.split(",")[0],
            settings=simulated.settings if simulated else {},
            health={name: f"http://127.0.0.1:{addresses[f'{name}_health']}" for name in SERVICES},
        )

    async def _services(self, settings: dict[str, str], addresses: dict[str, str]) -> None:
        if settings.get("GITLAB_TOKEN") and not settings.get("GITLAB_READ_TOKEN"):
            self.screen.trouble(
                "GITLAB_READ_TOKEN is not set; reviews read with GITLAB_TOKEN, which can write"
            )
        services = []
        for name in SERVICES:
            service = Service(
                name=name,
                environment=environments.environment(name, settings, addresses),
                log=self.places.logs / f"{name}.log",
                health_url=f"http://127.0.0.1:{addresses[f'{name}_health']}",
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

    async def _demonstrate(
        self,
        simulated: Simulated,
        connection: Connection,
        addresses: dict[str, str],
        *,
        demo_only: bool,
    ) -> int:
        await simulated.call(
            "webhook",
            {"url": addresses["webhook_url"], "secret": addresses["GITLAB_WEBHOOK_SECRET"]},
        )
        opened = await simulated.call("demo/open", {})
        self.screen.done(f"demo merge request opened  {opened['web_url']}")
        if not demo_only:
            return 0
        return await demo.await_review(
            connection, simulated, opened, screen=self.screen, stopping=self.stopping
        )
