"""Git commands in one folder, for one server, under one deadline. Used by `change`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from libs.common.git.command import Access, Ended, GitCall, end_of_git
from libs.common.git.errors import GitTimedOut, failure

MIB = 1024 * 1024


class Commands:
    """What is said of a command, in words for an error, comes first: "fetch the branch"."""

    def __init__(self, folder: Path, access: Access, *, timeout: float) -> None:
        self._folder = folder
        self._access = access.checked()
        self._deadline = asyncio.get_running_loop().time() + timeout

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self._access.token,)

    async def run(
        self, what: str, *arguments: str, online: bool = False, max_output: int = 4 * MIB
    ) -> bytes:
        """What it printed; raises an error of `libs.common.git.errors`."""
        ended = await self.end(what, *arguments, online=online, max_output=max_output)
        if ended.code != 0:
            raise failure(ended.stderr.decode(errors="replace"), what=what, secrets=self.secrets)
        return ended.stdout

    async def end(
        self, what: str, *arguments: str, online: bool = False, max_output: int = 4 * MIB
    ) -> Ended:
        """How it ended, for the caller to judge; only `online` ones are given the token."""
        left = self._deadline - asyncio.get_running_loop().time()
        if left <= 0:
            raise GitTimedOut(f"{what}: no time left", peer="gitlab")
        return await end_of_git(
            GitCall(
                folder=self._folder,
                arguments=arguments,
                what=what,
                timeout=left,
                max_output=max_output,
                access=self._access if online else None,
            )
        )

    async def fetch(self, what: str, refspec: str, *, depth: int = 1) -> None:
        """Commits of the server into a ref of ours, no deeper than asked."""
        await self.run(
            what,
            *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"),
            *(f"--depth={depth}", "--end-of-options", self._access.url, refspec),
            online=True,
        )
