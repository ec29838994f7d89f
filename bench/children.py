"""Processes that are measured: started with a small environment, output to a file, ended.

Their output goes to a file and not through us, which would cost what is being measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from services.ops.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
READY_SECONDS = 60.0
STOP_SECONDS = 30.0


class Child:
    """One process; `started` is when it was, by `time.perf_counter`."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, started: float) -> None:
        self.process = process
        self.log = log
        self.started = started

    @property
    def pid(self) -> int:
        return self.process.pid

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    async def stop(self) -> None:
        for number, patience in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self.process.wait()
                    return


@contextlib.asynccontextmanager
async def child(
    arguments: list[str], folder: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Child]:
    """`python -m <arguments>`, ended when the context is; its output goes to a file in `folder`."""
    log = folder / f"{arguments[0]}-{time.time_ns()}.log"
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with log.open("wb") as output:
        started = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *arguments),
            cwd=ROOT,
            env={**inherited, **(environment or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    found = Child(process, log, started)
    try:
        yield found
    finally:
        await found.stop()


async def ready(found: Child, health_port: int) -> float:
    """Wait until `/readyz` answers 200; seconds since the process was started."""
    async with asyncio.timeout(READY_SECONDS):
        while not await _is_ready(health_port):
            if found.process.returncode is not None:
                raise RuntimeError(f"it ended at once:\n{found.text()}")
            await asyncio.sleep(0.005)
    return time.perf_counter() - found.started


async def line(found: Child) -> str:
    """The first line that it writes, once it is there."""
    async with asyncio.timeout(READY_SECONDS):
        while "\n" not in (text := found.text()):  # noqa: ASYNC110  another process writes it
            await asyncio.sleep(0.02)
    return text.partition("\n")[0]


async def _is_ready(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(b"GET /readyz HTTP/1.0\r\n\r\n")
        return b" 200 " in await reader.readline()
    except OSError:
        return False
    finally:
        writer.close()


async def output_of(arguments: list[str], environment: Mapping[str, str] | None = None) -> str:
    """What `python -m <arguments>` printed; raises when it failed. None: our own environment."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *arguments),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}")
    return out.decode()


def ports(*names: str) -> dict[str, str]:
    """A free port for each name."""
    return {name: str(free_port(0)) for name in names}
