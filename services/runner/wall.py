"""The wall around a session with a shell: what its processes can see and change (SR-18).

Called by `coding`. Locally that is bubblewrap: namespaces of its own for processes, IPC, host name
and users, a read-only system, and of all other folders only the clone, the session's HOME and what
the CLI needs. The network stays, since the model has to be reached.

The model's key is in no environment and no file, but it is in the CLI's memory, which programs of
the same user may read. So the CLI's shell stands behind a second wall: at the place of bash is a
script of ours that starts the real one in a user namespace of its own. From there the kernel lets
nobody look into a process outside (ptrace(2): neither its memory nor its environment), and the
CLI's own files in HOME are hidden or read-only.

`--clearenv` would change nothing: the environment that bubblewrap is started with is the CLI's
allow-list already, and it has to be, because bubblewrap itself is process 1 in there, with its
environment open to read. What the clone's own `.git` says is read-only, too, so that git commands
of others on it stay what they are.

Where the Job itself is the wall, nothing of this is needed: see `pod`.
"""

from __future__ import annotations

import asyncio
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from libs.common import bubblewrap
from libs.common.errors import cut
from services.runner.cli import UNPACKED
from services.runner.run import CannotStart

log = structlog.get_logger()
SETTING = "ALLOW_UNSANDBOXED_CODING"
PROBE_SECONDS = 20.0
INSIDE = "/run/gca"
CLI = Path(INSIDE, "copilot")
"""Where the CLI is inside: its real place may tell about the operator's folders."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BASHES = ("/bin/bash", "/usr/bin/bash")
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
# A runner that is root owns these also without capabilities: through sys/kernel/core_pattern, one
# write would run a program outside. Bubblewrap (0.8) leaves them writable.
_KERNEL = (
    "sys",
    "sysrq-trigger",
    "fs",
    "acpi",
    "scsi",
    "driver",
    "mtrr",
    "pressure",
    "latency_stats",
)
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
    cli: Path
    shell: Path
    """A folder for the script that stands in bash's place; not seen from inside."""
    cache: Path | None = None
    """Where the CLI has unpacked itself for all sessions: read there, never written."""


async def wall(rooms: Rooms, environment: Mapping[str, str], *, needed: bool) -> tuple[str, ...]:
    """The command in front of the CLI; raises `CannotStart` where no wall can be built.

    Not `needed` means that the operator lets sessions run without one.
    """
    program = shutil.which(bubblewrap.PROGRAM)
    bash = shutil.which("bash")
    why = "it is not installed" if not program else "there is no bash" if not bash else ""
    command: tuple[str, ...] = ()
    if program and bash:
        await asyncio.to_thread(_write_script, rooms)
        command = (program, *arguments(rooms, program, bash))
        why = await _probe(command, environment)
    if not why:
        return command
    if not needed:
        log.warning("session runs without a wall", why=why, setting=SETTING)
        return ()
    raise CannotStart(
        f"a coding session has a shell and needs a wall, but bubblewrap (bwrap) does not work: "
        f"{why}. What helps: {bubblewrap.MEND}. Or set {SETTING}=true to run coding without a wall"
    )


def arguments(rooms: Rooms, program: str, bash: str) -> tuple[str, ...]:
    """Bubblewrap's arguments; later mounts lie on top of earlier ones."""
    found = [
        *(*bubblewrap.OUTER, "--hostname", "session"),
        *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),  # noqa: S108  a new, empty one
    ]
    for name in _KERNEL:
        found += ["--ro-bind-try", f"/proc/{name}", f"/proc/{name}"]
    for folder in _SYSTEM:
        found += ["--ro-bind-try", folder, folder]
    for name in _ETC:
        found += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    found += ["--ro-bind", program, f"{INSIDE}/bwrap", "--ro-bind", bash, f"{INSIDE}/bash"]
    found += ["--ro-bind", str(rooms.cli), str(CLI)]
    for place in BASHES:
        if Path(place).exists():
            found += ["--ro-bind", str(rooms.shell / "bash"), place]
    for named in rooms.readable:
        found += ["--ro-bind", named, named]
    for room in (rooms.clone, rooms.home):
        found += ["--bind", str(room), str(room)]
    found += ["--ro-bind-try", str(rooms.clone / ".git"), str(rooms.clone / ".git")]
    if rooms.cache is not None:
        shared, inside = rooms.cache / UNPACKED, f"{rooms.home}/.cache/{UNPACKED}"
        found += ["--ro-bind-try", str(shared), inside]
    return (*found, "--setenv", "PATH", PATH, "--chdir", str(rooms.clone), "--")


def script(rooms: Rooms) -> str:
    """What stands in bash's place: bash in a wall of its own, with the real bash at its place."""
    real = " ".join(f"--ro-bind {INSIDE}/bash {place}" for place in BASHES if Path(place).exists())
    unpacked = shlex.quote(str(rooms.home / ".cache" / "copilot"))
    return (
        f"#!{INSIDE}/bash\n"
        f"exec {INSIDE}/bwrap {' '.join(bubblewrap.INNER)} "
        f"{real} --ro-bind {unpacked} {unpacked} "
        f"--tmpfs {shlex.quote(str(rooms.home / '.copilot'))} "
        f'--chdir "$PWD" -- {INSIDE}/bash "$@"\n'
    )


def _write_script(rooms: Rooms) -> None:
    rooms.shell.mkdir(parents=True, exist_ok=True)
    path = rooms.shell / "bash"
    path.write_text(script(rooms))
    path.chmod(0o755)
    # A place to lay the second wall's own folder on, before the CLI makes it.
    for folder in (".copilot", ".cache/copilot"):
        (rooms.home / folder).mkdir(parents=True, exist_ok=True)


async def _probe(command: tuple[str, ...], environment: Mapping[str, str]) -> str:
    """Why the wall cannot be built here, empty when it can: containers may forbid namespaces."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            *("/bin/bash", "-c", "true"),
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
    if process.returncode == 0:
        return ""
    return cut(said.decode(errors="replace"), 200) or f"it ends with {process.returncode}"
