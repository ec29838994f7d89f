"""The Copilot CLI: where it is, and what it may see. Used by `wiring` and `session`."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import structlog

from libs.common.errors import SettingsError
from libs.common.launching.contract import CLI_CACHE, PROXIES
from libs.common.leash import leashed

log = structlog.get_logger()
BINARY = "copilot"
UNPACKED = "copilot/pkg"
"""In a folder of caches: where the CLI unpacks itself to."""
UNPACK_SECONDS = 60.0
NO_DEBUGGER = "--node-options=--disable-sigusr1"
"""Without it, a signal of any program of the same user has the CLI's Node.js listen for a debugger
on loopback, which reads the CLI's memory (Node.js, "Command-line API"; seen with CLI 1.0.102)."""


def own_cache(caches: Path | None, home: Path) -> Path:
    """Our folder among the user's caches: the CLI as set-up left it, and what it unpacks.

    Shared by all sessions, since unpacking takes seconds; set-up looks in the same place.
    """
    return (caches or home / ".cache") / "gitlab-copilot-agent"


def find_cli(configured: Path | None, pinned: str, cache: Path) -> Path:
    """The CLI to start; raises `SettingsError` that says how to get one."""
    if configured is not None:
        return configured
    unpacked = cache / "cli" / pinned / BINARY
    if unpacked.is_file() and os.access(unpacked, os.X_OK):
        return unpacked
    problem = (
        f"COPILOT_CLI_PATH: is not set, and there is no Copilot CLI {pinned} at {unpacked}; "
        "run `make setup`, which fetches it, or point COPILOT_CLI_PATH to one"
    )
    raise SettingsError([problem])


def cli_environment(
    own: Mapping[str, str], *, home: Path, cache: Path | None, ca_bundle: str
) -> dict[str, str]:
    """The CLI's whole environment: an allow-list, with a home of its own and no secret (SR-18)."""
    environment = {name: own[name] for name in ("PATH", "LANG", *PROXIES) if own.get(name)}
    environment["HOME"] = str(home)
    environment["TMPDIR"] = str(home / "tmp")
    if cache is not None:
        environment[CLI_CACHE] = str(cache)
    if ca_bundle:
        environment["NODE_EXTRA_CA_CERTS"] = ca_bundle
        environment["SSL_CERT_FILE"] = ca_bundle
    return environment


async def unpack(cli: Path, cache: Path, environment: Mapping[str, str]) -> bool:
    """Have the CLI unpack itself into the shared cache, once for all sessions.

    A session in a wall sees that folder read-only, so it has to be whole before. False when it is
    not: then each session unpacks for itself. `environment` is one of `cli_environment`.
    """
    mark = await asyncio.to_thread(_mark, cli, cache)
    if mark.exists():
        return True
    nothing = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *leashed([str(cli), "--version"]),
            stdin=nothing,
            stdout=nothing,
            stderr=nothing,
            env=dict(environment),
        )
    except OSError as error:
        log.warning("the cli did not unpack itself", why=error.strerror)
        return False
    try:
        async with asyncio.timeout(UNPACK_SECONDS):
            code = await process.wait()
    except TimeoutError:
        code = -1
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code != 0 or not mark.parent.is_dir():
        log.warning("the cli did not unpack itself", exit_code=code)
        return False
    with contextlib.suppress(OSError):  # an image's cache, which is whole, but not ours to write
        await asyncio.to_thread(mark.touch)
    return True


def _mark(cli: Path, cache: Path) -> Path:
    """The file that says that this very CLI has unpacked itself; gone when that is removed."""
    found = cli.stat()
    name = hashlib.sha256(f"{cli} {found.st_size} {found.st_mtime_ns}".encode()).hexdigest()[:16]
    return cache / UNPACKED / f".whole-{name}"


def version_warning(pinned: str, found: str) -> str | None:
    """A sentence when the SDK and the CLI do not belong together, naming both."""
    if not pinned or found == pinned:
        return None
    return (
        f"the SDK belongs to Copilot CLI {pinned}, but the CLI found is {found}: "
        "run `make setup` or unset COPILOT_CLI_PATH"
    )
