"""Looks at this machine: git, the Copilot CLI, the wall for coding, ports, a running `gca up`."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import re
import shutil
import socket
from pathlib import Path
from typing import Any

import aiohttp

from libs.common import bubblewrap
from libs.common.service import FINE
from services.ops.doctor.check import Check, broken, ok, warning
from services.ops.doctor.situation import Situation
from services.ops.environments import HEALTH_PORTS, SERVICES
from services.ops.places import default_root, logs_of

OLDEST_GIT = (2, 31)
"""The first that takes its configuration, and so the token, from the environment."""
CLI_MEND = "run `make setup`, or point COPILOT_CLI_PATH to the CLI of the SDK's version"
PORTS = {
    "PORT": 8000,
    "TASK_DOOR_PORT": 8001,
    **{f"HEALTH_PORT of {name}": port for name, port in HEALTH_PORTS.items()},
}


async def look_at_git(situation: Situation) -> list[Check]:
    code, said = await _run("git", "--version", path=situation.given.get("PATH"))
    return [git(None if code is None else said)]


def git(said: str | None) -> Check:
    """Pure: the answer of `git --version`; None when there is no git."""
    mend = "install git 2.31 or newer (package git)"
    if said is None:
        return broken("git", "git is not on PATH, so nothing can be cloned", mend)
    match = re.search(r"(\d+)\.(\d+)(\.\d+)?", said)
    if match is None:
        return broken("git", f"`git --version` says {said[:60]!r}", mend)
    if (int(match[1]), int(match[2])) < OLDEST_GIT:
        return broken("git", f"git {match[0]} is too old to be given a token safely", mend)
    return ok("git", f"git {match[0]}")


async def look_at_cli(situation: Situation) -> list[Check]:
    pinned = pinned_cli()
    path = situation.value("COPILOT_CLI_PATH") or str(
        Path.home() / ".cache" / "gitlab-copilot-agent" / "cli" / pinned / "copilot"
    )
    code, said = await _run(path, "--version")
    return [cli(path, pinned, None if code is None else said, code or 0)]


def cli(path: str, pinned: str, said: str | None, code: int) -> Check:
    """Pure: what the CLI at `path` says of its version; None when it cannot be started."""
    name = "Copilot CLI"
    if said is None:
        return broken(name, f"there is no CLI that can be started at {path}", CLI_MEND)
    match = re.search(r"\d+\.\d+\.\d+", said)
    if code != 0 or match is None:
        return broken(name, f"{path} --version ends with {code} and says {said[:60]!r}", CLI_MEND)
    if pinned and match[0] != pinned:
        return broken(name, f"{path} is {match[0]}, but the SDK belongs to {pinned}", CLI_MEND)
    return ok(name, f"{match[0]}, the one of the SDK")


def pinned_cli() -> str:
    """The CLI version that the installed SDK is made for; empty when there is no SDK."""
    found = importlib.util.find_spec("copilot")
    if found is None or found.origin is None:
        return ""
    with contextlib.suppress(OSError):
        text = Path(found.origin).with_name("_cli_version.py").read_text(encoding="utf-8")
        match = re.search(r'CLI_VERSION[^=]*=\s*"([^"]+)"', text)
        return match[1] if match else ""
    return ""


async def wall_works(path: str | None) -> bool:
    """Whether bubblewrap can build a session's walls here: tried, for a container may forbid it."""
    program = shutil.which(bubblewrap.PROGRAM, path=path)
    return program is not None and (await _run(*bubblewrap.nested(program)))[0] == 0


async def look_at_wall(situation: Situation) -> list[Check]:
    program = shutil.which(bubblewrap.PROGRAM, path=situation.given.get("PATH"))
    allowed = situation.value("ALLOW_UNSANDBOXED_CODING").lower() in {"true", "1", "yes"}
    if program is None:
        return [wall(bubblewrap_fails("", installed=False), allowed=allowed)]
    code, said = await _run(*bubblewrap.nested(program))
    if code == 0:
        return [wall("", allowed=allowed)]
    outer, _ = await _run(*bubblewrap.alone(program))
    restricted = await asyncio.to_thread(_apparmor_restricts)
    why = bubblewrap_fails(said, outer_works=outer == 0, restricted=restricted)
    return [wall(why, allowed=allowed)]


def bubblewrap_fails(
    said: str, *, installed: bool = True, outer_works: bool = False, restricted: bool = False
) -> str:
    """Pure: why no session's walls can be built."""
    if not installed:
        return "bubblewrap is not installed"
    what = "bubblewrap fails inside bubblewrap" if outer_works else "bubblewrap fails"
    apparmor = f" ({bubblewrap.APPARMOR} is 1)" if restricted else ""
    return f"{what}: {said[:120]}{apparmor}"


def wall(why: str, *, allowed: bool) -> Check:
    """Pure: what stands between coding sessions and this machine; reviews need none."""
    name, mend = "wall for coding", bubblewrap.MEND
    if not why:
        return ok(name, "bubblewrap works, also inside itself; coding sessions run behind it")
    if allowed:
        meaning = f"{why}; ALLOW_UNSANDBOXED_CODING is set, so coding runs without a wall"
        return warning(name, meaning, f"{mend}; then take ALLOW_UNSANDBOXED_CODING away")
    meaning = (
        f"{why}, and ALLOW_UNSANDBOXED_CODING is not set: coding will be refused, reviews work"
    )
    return warning(name, meaning, mend)


def _apparmor_restricts() -> bool:
    with contextlib.suppress(OSError):
        return Path("/proc/sys", *bubblewrap.APPARMOR.split(".")).read_text().strip() == "1"
    return False


async def look_at_system(situation: Situation) -> list[Check]:
    """The running `gca up`, or whether one could have its ports."""
    running = situation.running
    if running is not None:
        found = [ok("gca up", f"runs (pid {running.pid}), webhook at {running.webhook_url}")]
        logs = logs_of(default_root(), simulated=situation.simulated)
        states = await asyncio.gather(
            *(
                _ready(name, running.health[name], logs / f"{name}.log")
                for name in SERVICES
                if name in running.health
            )
        )
        return found + [check for of_service in states for check in of_service]
    if situation.given.get("NATS_URL"):
        return []
    busy = [
        f"{port} ({name})"
        for name, default in PORTS.items()
        if not _is_free(port := _port(situation.value(name), default))
    ]
    return [ports(busy)]


def ports(busy: list[str]) -> Check:
    """Pure: a system that does not run, and the ports that something else has."""
    if not busy:
        return warning("gca up", "does not run here; its ports are free", "run `make up`")
    return warning(
        "gca up",
        f"does not run here, and something else has port {', '.join(busy)}: it would take others",
        "end what has the port, or set PORT and TASK_DOOR_PORT; then run `make up`",
    )


async def _ready(name: str, url: str, file: Path) -> list[Check]:
    mend = f"look at {file}, and start `gca up` again"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as session,
            session.get(f"{url}/readyz") as answer,
        ):
            body = await answer.json()
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return [broken(f"service {name}", f"does not answer at {url}/readyz", mend)]
    return readiness(name, body if isinstance(body, dict) else {}, mend, ready=answer.status == 200)


def readiness(name: str, body: dict[str, Any], mend: str, *, ready: bool) -> list[Check]:
    """Pure: what `/readyz` says; a detail that is not well is a line of its own."""
    label = f"service {name}"
    said = [
        warning(label, f"{what}: {why}", f"mend what it says, or look further: {mend}")
        for what, why in body.get("details", {}).items()
        if why != FINE
    ]
    if ready:
        return [ok(label, "ready"), *said]
    why = "; ".join(f"{what}: {is_}" for what, is_ in body.get("checks", {}).items() if is_ != FINE)
    return [broken(label, f"not ready: {why or 'it is still starting'}", mend), *said]


def _port(text: str, default: int) -> int:
    return int(text) if text.isdecimal() else default


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # What a server that was just stopped leaves behind does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


async def _run(program: str, *arguments: str, path: str | None = None) -> tuple[int | None, str]:
    """Exit code and output; no code when it cannot be started. Ended with its caller."""
    found = shutil.which(program, path=path)
    if found is None:
        return None, ""
    try:
        process = await asyncio.create_subprocess_exec(
            found,
            *arguments,
            env={name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError:
        return None, ""
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return process.returncode, " ".join(out.decode(errors="replace").split())
