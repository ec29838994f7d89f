"""The real git against the simulated GitLab, for the tests of its git side."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Git:
    """The real git with a token in the environment and nobody's configuration."""

    def __init__(self, folder: Path, token: str) -> None:
        basic = base64.b64encode(f"anyone:{token}".encode()).decode()
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": "Dev",
            "GIT_AUTHOR_EMAIL": "dev@example.com",
            "GIT_COMMITTER_NAME": "Dev",
            "GIT_COMMITTER_EMAIL": "dev@example.com",
        }
        if token:
            self.environment |= {
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "http.extraHeader",
                "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
            }

    async def run(self, *arguments: str) -> tuple[int, str]:
        """Return the exit code and what git printed on both streams."""
        self.folder.mkdir(exist_ok=True)
        process = await asyncio.create_subprocess_exec(
            "git",
            *arguments,
            cwd=self.folder,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)  # git's helpers for HTTP too
                await process.communicate()
        return process.returncode or 0, output.decode()

    async def ok(self, *arguments: str) -> str:
        code, output = await self.run(*arguments)
        assert code == 0, output
        return output.strip()

    async def clone(self, url: str, *options: str) -> None:
        await self.ok("clone", "--quiet", *options, url, ".")

    async def commit_file(self, name: str, content: str = "x\n") -> str:
        (self.folder / name).write_text(content)
        await self.ok("add", name)
        await self.ok("commit", "--quiet", "-m", f"Add {name}")
        return await self.ok("rev-parse", "HEAD")
