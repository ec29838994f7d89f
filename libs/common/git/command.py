"""One git command as a child process that nothing of this machine or of the repository can bend.

Used by `clone`, `read` and `change`. The token travels in the environment of the one command that
needs it, as a header for the one host it belongs to (SR-39): never in urls, argv or `.git/config`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import signal
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from libs.common.git.errors import (
    CloneFailed,
    GitTimedOut,
    TooLarge,
    basic_credentials,
    failure,
)

LONGEST_STDERR = 64 * 1024
_CHUNK = 64 * 1024

# Settings of the environment win over those of the repository; the reasons are SR-15 and SR-39.
_HARDENED = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.symlinks": "false",
    "core.protectNTFS": "true",
    "core.protectHFS": "true",
    "core.attributesFile": os.devnull,
    "core.excludesFile": os.devnull,
    "core.autocrlf": "false",
    "core.askPass": "",
    "core.pager": "cat",
    "credential.helper": "",
    "filter.lfs.smudge": "",
    "filter.lfs.clean": "",
    "filter.lfs.process": "",
    "filter.lfs.required": "false",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "advice.detachedHead": "false",
    # The two steps of a task may run as different users.
    "safe.directory": "*",
}


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """A server that one command may talk to. `allow_http` is not needed on loopback."""

    url: str
    token: str
    ca_bundle: str | None = None
    allow_http: bool = False
    allow_file: bool = False

    def __repr__(self) -> str:
        return f"Access(url={self.url!r})"

    def checked(self) -> Access:
        """This, or `CloneFailed` when the url is none we talk to."""
        parts = urlsplit(self.url)
        if parts.scheme == "file" and self.allow_file:
            return self
        if parts.username or parts.password:
            raise CloneFailed("the clone url must not carry a user name or password")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CloneFailed("the clone url must begin with https://")
        if parts.scheme == "http" and not (self.allow_http or is_loopback(parts.hostname)):
            raise CloneFailed("plain http:// to GitLab needs ALLOW_HTTP_GITLAB=true")
        return self

    def settings(self) -> dict[str, str]:
        """The git settings that let one command reach this server and no other."""
        parts = urlsplit(self.url)
        if parts.scheme == "file":
            return {"protocol.file.allow": "always"}
        host = parts.netloc.rpartition("@")[2]
        found = {
            f"protocol.{parts.scheme}.allow": "always",
            "http.followRedirects": "false",
            "http.emptyAuth": "false",
            # Stalled is not slow: a server that packs sends a few bytes every five seconds.
            "http.lowSpeedLimit": "1",
            "http.lowSpeedTime": "60",
        }
        if self.token:
            header = f"Authorization: Basic {basic_credentials(self.token)}"
            found[f"http.{parts.scheme}://{host}/.extraHeader"] = header
        if self.ca_bundle:
            found["http.sslCAInfo"] = self.ca_bundle
        return found


class GitCall(msgspec.Struct, frozen=True, kw_only=True):
    """One command in the repository `folder/.git`; `timeout` in seconds, `max_output` in bytes."""

    folder: Path
    arguments: tuple[str, ...]
    what: str
    """What is tried, in words for an error: "fetch the head"."""
    timeout: float = 60.0
    max_output: int = 4 * 1024 * 1024
    access: Access | None = None


def is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def environment(call: GitCall) -> dict[str, str]:
    """All that the child sees: an allow-list, and git settings that nothing can override."""
    settings = _HARDENED | (call.access.settings() if call.access else {})
    numbered = dict(enumerate(settings.items()))
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        # No such folder: neither ~/.gitconfig nor ~/.netrc can be planted there.
        "HOME": os.devnull,
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "GIT_DIR": str(call.folder / ".git"),
        "GIT_WORK_TREE": str(call.folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_CONFIG_COUNT": str(len(settings)),
        **{f"GIT_CONFIG_KEY_{at}": name for at, (name, _) in numbered.items()},
        **{f"GIT_CONFIG_VALUE_{at}": value for at, (_, value) in numbered.items()},
    }


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended; `stderr` is its last 64 KB and may hold a token until it is scrubbed."""

    code: int
    stdout: bytes
    stderr: bytes

    def __repr__(self) -> str:
        return f"Ended(code={self.code})"


async def run_git(call: GitCall) -> bytes:
    """What the command printed; raises an error of `libs.common.git.errors`."""
    ended = await end_of_git(call)
    if ended.code != 0:
        secrets = (call.access.token,) if call.access else ()
        raise failure(ended.stderr.decode(errors="replace"), what=call.what, secrets=secrets)
    return ended.stdout


async def end_of_git(call: GitCall) -> Ended:
    """For commands whose refusals have a meaning of their own; only time and output are errors.

    The whole process group ends with the time-out, with too much output and with cancellation.
    """
    if call.access:
        call.access.checked()
    process = await _start(call)
    assert process.stdout is not None  # noqa: S101  # asked for with PIPE
    assert process.stderr is not None  # noqa: S101  # asked for with PIPE
    words = asyncio.create_task(_tail(process.stderr))
    try:
        async with asyncio.timeout(call.timeout):
            stdout = await _read(process.stdout, call)
            stderr = await words
            code = await process.wait()
    except TimeoutError:
        raise GitTimedOut(f"{call.what}: git was not done in time", peer="gitlab") from None
    finally:
        words.cancel()
        await _end(process)
    return Ended(code=code, stdout=stdout, stderr=stderr)


async def _start(call: GitCall) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            "git",
            *call.arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=call.folder,
            env=environment(call),
            start_new_session=True,
        )
    except OSError as error:
        raise CloneFailed(f"{call.what}: git did not start ({error.strerror})") from None


async def _read(stream: asyncio.StreamReader, call: GitCall) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := await stream.read(_CHUNK):
        size += len(part)
        if size > call.max_output:
            raise TooLarge(f"{call.what}: more than {call.max_output} bytes")
        parts.append(part)
    return b"".join(parts)


async def _tail(stream: asyncio.StreamReader) -> bytes:
    """The last words; all of it is read, so that git never waits for a full pipe."""
    kept = b""
    while part := await stream.read(_CHUNK):
        kept = (kept + part)[-LONGEST_STDERR:]
    return kept


async def _end(process: asyncio.subprocess.Process) -> None:
    """No process of the group outlives the call; git-remote-https holds the token."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    await asyncio.shield(process.wait())
