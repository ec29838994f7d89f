"""Asks each service whether it could start with the operator's settings: `--check`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping

from libs.common.service import CHECK, EXIT_SETTINGS
from services.ops import environments
from services.ops.doctor.check import Check, broken, ok
from services.ops.doctor.situation import Situation
from services.ops.environments import SERVICES
from services.ops.places import ROOT

NAME = "settings"
_STAND_IN = "made-by-gca-up-when-it-starts"


async def look(situation: Situation) -> list[Check]:
    """All problems of all services, each said once."""
    if situation.simulated and situation.running is None:
        return [ok(NAME, "GITLAB_URL is not set: `gca up` brings a simulated GitLab and model")]
    answers = await asyncio.gather(*(_problems(name, situation) for name in SERVICES))
    return verdict(dict(zip(SERVICES, answers, strict=True)))


def verdict(problems: Mapping[str, list[str]]) -> list[Check]:
    """Lines for what services said, by service: pure."""
    who: dict[str, list[str]] = {}
    for service, found in problems.items():
        for problem in found:
            who.setdefault(problem, []).append(service)
    if not who:
        return [ok(NAME, f"{_and(list(problems))} could start with them")]
    return [
        broken(NAME, f"{problem} ({_and(services)})", _mend(problem))
        for problem, services in sorted(who.items())
    ]


def _mend(problem: str) -> str:
    return f"set {problem.partition(':')[0]} in the environment or in .env"


async def _problems(service: str, situation: Situation) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"services.{service}",
        CHECK,
        env=environments.environment(
            service, _inherited() | dict(situation.settings), own(situation)
        ),
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = said.decode(errors="replace").splitlines()
    if process.returncode == 0:
        return []
    if process.returncode == EXIT_SETTINGS:
        return [line.strip() for line in lines if line.startswith("  ")]
    return [f"{service}: cannot be started at all: {lines[-1] if lines else 'it says nothing'}"]


def own(situation: Situation) -> dict[str, str]:
    """What `gca up` adds: only whether it is there counts here, secrets are stand-ins."""
    port = situation.value("TASK_DOOR_PORT") or "8001"
    found = {
        "NATS_URL": situation.nats_url,
        "TASK_DOOR_SECRET": _STAND_IN,
        "TASK_DOOR_URL": f"http://127.0.0.1:{port}",
        "GITLAB_READ_TOKEN": situation.token("GITLAB_READ_TOKEN"),
        **{f"{name}_health": "0" for name in SERVICES},
    }
    if situation.simulated:
        found["GITLAB_WEBHOOK_SECRET"] = _STAND_IN
    return found


def _inherited() -> dict[str, str]:
    return {name: os.environ[name] for name in environments.INHERITED if name in os.environ}


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
