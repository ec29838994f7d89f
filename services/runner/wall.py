"""The wall around a session with a shell: what its processes can see and change (SR-18).

Called by `coding`. Locally that is bubblewrap: namespaces of its own for processes, IPC, host name
and users, a read-only system, and of all other folders only the clone, the session's HOME and what
the CLI needs. The network stays, since the model has to be reached. The key of the model is in no
environment and no file; it travels to the CLI over its pipe.

`--clearenv` would change nothing: the environment that bubblewrap is started with is the CLI's
allow-list already, and it has to be, because bubblewrap itself is process 1 in there, with its
environment open to read. What the clone's own `.git` says is read-only, too, so that git commands
of others on it stay what they are.

A kind of place where the Job itself is the wall (a pod) needs no command: `()`.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from libs.common.errors import cut
from services.runner.run import CannotStart

log = structlog.get_logger()
PROGRAM = "bwrap"
SETTING = "ALLOW_UNSANDBOXED_CODING"
PROBE_SECONDS = 20.0
NOBODY = "65534"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
# No passwords, keys or units of this machine: names, certificates, and how to find libraries.
_ETC = (
    *("alternatives", "ca-certificates", "ca-certificates.conf", "crypto-policies", "ssl", "pki"),
    *("group", "hosts", "localtime", "nsswitch.conf", "passwd", "protocols", "services"),
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "resolv.conf", "gai.conf", "mime.types"),
    *("java", "java-17-openjdk", "java-21-openjdk", "dotnet", "gitattributes", "timezone"),
)


class Rooms(msgspec.Struct, frozen=True, kw_only=True):
    """The folders of one session; each is at its own path inside as well."""

    clone: Path
    home: Path
    readable: tuple[str, ...] = ()
    """Folders and files that may be read besides."""
    cache: Path | None = None
    """Where the CLI has unpacked itself for all sessions: read there, never written."""


async def wall(rooms: Rooms, environment: Mapping[str, str], *, needed: bool) -> tuple[str, ...]:
    """The command in front of the CLI; raises `CannotStart` where no wall can be built.

    Not `needed` means that the operator lets sessions run without one.
    """
    program = shutil.which(PROGRAM)
    command = (program, *arguments(rooms)) if program else ()
    why = await _probe(command, environment) if command else "it is not installed"
    if not why:
        return command
    if not needed:
        log.warning("session runs without a wall", why=why, setting=SETTING)
        return ()
    raise CannotStart(
        f"a coding session has a shell and needs a wall, but bubblewrap (bwrap) does not work: "
        f"{why}. Install bubblewrap and allow user namespaces, or set {SETTING}=true to run "
        "coding without a wall"
    )


def arguments(rooms: Rooms) -> tuple[str, ...]:
    """Bubblewrap's arguments; later mounts lie on top of earlier ones."""
    found = [
        *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"),
        *("--unshare-cgroup-try", "--uid", NOBODY, "--gid", NOBODY, "--hostname", "session"),
        *("--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),  # noqa: S108  a new, empty one
    ]
    for folder in _SYSTEM:
        found += ["--ro-bind-try", folder, folder]
    for name in _ETC:
        found += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for named in rooms.readable:
        found += ["--ro-bind", named, named]
    for room in (rooms.clone, rooms.home):
        found += ["--bind", str(room), str(room)]
    found += ["--ro-bind-try", str(rooms.clone / ".git"), str(rooms.clone / ".git")]
    if rooms.cache is not None:
        unpacked = "copilot/pkg"
        found += ["--ro-bind-try", str(rooms.cache / unpacked), f"{rooms.home}/.cache/{unpacked}"]
    return (*found, "--setenv", "PATH", PATH, "--chdir", str(rooms.clone), "--")


async def _probe(command: tuple[str, ...], environment: Mapping[str, str]) -> str:
    """Why the wall cannot be built here, empty when it can: containers may forbid namespaces."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            "true",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=dict(environment),
        )
    except OSError as error:
        return f"it did not start ({error.strerror})"
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            _, said = await process.communicate()
    except TimeoutError:
        return f"it was not done in {PROBE_SECONDS:.0f} seconds"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return "" if process.returncode == 0 else cut(said.decode(errors="replace").strip(), 200)
