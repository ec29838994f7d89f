"""Starts the services of `gca up`, waits until they can work, starts one again that died."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from libs.common.errors import AgentError, SettingsError
from libs.common.service import EXIT_SETTINGS
from services.ops.processes import Child, running
from services.ops.show import Screen

READY_SECONDS = 60.0
LONGEST_PAUSE = 30.0


@dataclass
class Service:
    """One service: how it is started, where it says how it is."""

    name: str
    environment: dict[str, str]
    log: Path
    health_url: str
    longest_pause: float = LONGEST_PAUSE
    """Longest wait before it is started again, in seconds."""
    child: Child | None = None
    problems: list[str] = field(default_factory=list)
    """Settings it refuses to start with."""


async def keep_running(service: Service, screen: Screen, stopping: asyncio.Event) -> None:
    """Run the service until `stopping`; one that dies is started again, ever more slowly."""
    command = [sys.executable, "-m", f"services.{service.name}"]
    pause = min(0.5, service.longest_pause)
    while not stopping.is_set():
        async with running(
            service.name, command, service.environment, service.log, screen.child_line
        ) as child:
            service.child = child
            await _either(child, stopping)
        if stopping.is_set():
            return
        if child.code == EXIT_SETTINGS:
            service.problems = [line.strip() for line in child.lines if line.startswith("  ")]
            return
        screen.trouble(
            f"{service.name} ended with code {child.code} (see {service.log}); starting it again"
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause + random.random() * pause):  # noqa: S311  # jitter
                await stopping.wait()
        pause = min(service.longest_pause, 2 * pause)


async def _either(child: Child, stopping: asyncio.Event) -> None:
    waits = [asyncio.create_task(child.wait()), asyncio.create_task(stopping.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def wait_ready(services: list[Service], screen: Screen, stopping: asyncio.Event) -> None:
    """Wait for all; raises `SettingsError` with all their problems, `AgentError` when late."""
    results = await asyncio.gather(*(_ready(s, screen, stopping) for s in services))
    problems = [problem for service in services for problem in service.problems]
    if problems:
        raise SettingsError(sorted(set(problems)))
    late = [
        f"{s.name} (see {s.log}): {why}" for s, why in zip(services, results, strict=True) if why
    ]
    if late and not stopping.is_set():
        raise AgentError("not ready in time: " + "; ".join(late))


async def _ready(service: Service, screen: Screen, stopping: asyncio.Event) -> str:
    """Wait until `/readyz` says yes; else the last reason why not."""
    why = "it does not answer"
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READY_SECONDS), aiohttp.ClientSession() as session:
            while not stopping.is_set() and not service.problems:
                why = await _not_ready(session, service.health_url)
                if not why:
                    screen.done(f"{service.name} up  {service.health_url}/readyz")
                    return ""
                await asyncio.sleep(0.1)
    return why


async def _not_ready(session: aiohttp.ClientSession, url: str) -> str:
    try:
        async with session.get(f"{url}/readyz") as response:
            if response.status == 200:
                return ""
            checks = (await response.json()).get("checks", {})
            whys = [f"{name}: {why}" for name, why in checks.items() if why != "ok"]
            return "; ".join(whys) or "it is starting"
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return "it does not answer"
