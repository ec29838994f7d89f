"""Child processes of `gca up`: started in sessions of their own, watched, ended in order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from libs.common.leash import leashed

GRACE_SECONDS = 30.0
Line = Callable[[str, str], None]
"""Called with the process's name and a line that it wrote."""


class Child:
    """One process; each line it writes goes to its log file and to `on_line`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.log = log
        self.lines: list[str] = []
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Exit code, or None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        return await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL for one that does not end in `GRACE_SECONDS`."""
        for number, patience in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, 5.0)):
            if self._process.returncode is not None:
                return
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._process.wait()

    async def pump(self, on_line: Line) -> None:
        """Pass lines on until the process closes its output."""
        output = self._process.stdout
        assert output is not None  # noqa: S101  # started with a pipe, below
        with self.log.open("a", encoding="utf-8") as file:
            while raw := await output.readline():
                line = raw.decode(errors="replace").rstrip("\n")
                file.write(line + "\n")
                file.flush()
                self.lines = [*self.lines[-199:], line]
                on_line(self.name, line)


@contextlib.asynccontextmanager
async def running(
    name: str, command: list[str], environment: Mapping[str, str], log: Path, on_line: Line
) -> AsyncIterator[Child]:
    """A child that is stopped when the context ends; Ctrl-C at the terminal does not reach it.

    It dies with this process even when that is killed.
    """
    process = await asyncio.create_subprocess_exec(
        *leashed(command),
        env=dict(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        limit=4 * 1024 * 1024,
    )
    child = Child(name, process, log)
    pump = asyncio.create_task(child.pump(on_line))
    try:
        yield child
    finally:
        await child.stop()
        await pump
