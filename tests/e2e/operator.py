"""A new operator with nothing but the command line: a real `gca up`, and commands beside it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from services.ops.places import ROOT, Addresses, announced

START_SECONDS = 60.0


@dataclass
class Answer:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def closing(self) -> dict[str, Any]:
        """The last line of `gca events --json`."""
        found = json.loads(self.out.splitlines()[-1])
        assert isinstance(found, dict)
        return found


@dataclass
class Operator:
    """Runs `gca` as a person would; `sim` is what happens in the simulated GitLab."""

    folder: Path
    environment: dict[str, str]

    @property
    def running(self) -> Addresses:
        found = announced(self.folder)
        assert found is not None, "gca up does not run"
        return found

    async def gca(self, *arguments: str, **environment: str) -> Answer:
        process = await self._start(*arguments, **environment)
        out, err = await process.communicate()
        return Answer(process.returncode or 0, out.decode(), err.decode())

    async def why(self, merge_request: str) -> dict[str, Any]:
        answer = await self.gca("events", merge_request, "--json")
        assert answer.code == 0, answer.err
        return answer.closing

    async def until(
        self, merge_request: str, code: str, seconds: float = 60, *, kind: str = "why"
    ) -> dict[str, Any]:
        """Follow it until the answer is this one; `command` is the kind of a command's."""
        process = await self._start("events", merge_request, "--follow", "--json")
        assert process.stdout is not None
        found: dict[str, Any] = {}
        try:
            async with asyncio.timeout(seconds):
                while found.get("code") != code:
                    line = await process.stdout.readline()
                    assert line, f"gca events ended\n{self.log()}"
                    said = json.loads(line)
                    found = said if said["kind"] == kind else found
        except TimeoutError:
            raise AssertionError(f"waited for {code}, saw {found}\n{self.log()}") from None
        finally:
            process.kill()
            await process.communicate()
        return found

    async def sim(
        self, path: str, body: dict[str, Any] | None = None, *, method: str = "POST"
    ) -> Any:
        return await self._control(self.running.settings["GITLAB_URL"], path, body, method)

    async def jira(self, path: str, body: dict[str, Any]) -> Any:
        return await self._control(self.running.settings["JIRA_URL"], path, body, "POST")

    async def _control(self, base: str, path: str, body: dict[str, Any] | None, method: str) -> Any:
        url = f"{base}/-/sim/{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, json=body or {}) as answer,
        ):
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def webhook(self, *, on: bool) -> None:
        running = self.running
        url = running.webhook_url if on else None
        await self.sim("webhook", {"url": url, "secret": running.webhook_secret})

    async def opened(self, project: str, branch: str, **more: Any) -> str:
        """A merge request with one change, named as `gca events` wants it."""
        await self.sim(
            f"projects/{project}/commits",
            {"branch": branch, "files": {"app.py": f"# {branch}\nprint(eval('1'))\n"}},
        )
        made = await self.sim(
            f"projects/{project}/merge_requests", {"source_branch": branch, "title": branch, **more}
        )
        return f"{made['project_id']}!{made['iid']}"

    async def act(self, merge_request: str, action: str) -> None:
        project, _, iid = merge_request.partition("!")
        await self.sim(f"projects/{project}/merge_requests/{iid}/{action}")

    def log(self) -> str:
        return (self.folder / "up.log").read_text(errors="replace")[-4000:]

    async def _start(self, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.ops",
            *arguments,
            cwd=ROOT,
            env=self.environment | environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )


@asynccontextmanager
async def gca_up(folder: Path, **settings: str) -> AsyncIterator[Operator]:
    """`gca up` with the simulated GitLab and model, of no setting of the caller's or of `.env`."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    fixed = {"GCA_STATE_DIR": str(folder), "GCA_DOTENV": os.devnull}
    operator = Operator(folder, kept | fixed | {"PORT": "0", "TASK_DOOR_PORT": "0"} | settings)
    with (folder / "up.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.ops",
            "up",
            cwd=ROOT,
            env=operator.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        async with asyncio.timeout(START_SECONDS):
            while "press Ctrl-C" not in operator.log():
                assert process.returncode is None, operator.log()
                await asyncio.sleep(0.1)
        yield operator
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            await process.wait()
