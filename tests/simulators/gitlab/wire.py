"""What the simulator's own tests use: raw HTTP, a webhook receiver, a merge request with all kinds
of changed lines. No client library, so that a test shows the bytes that GitLab would send.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from .simulator import SimulatedGitLab, running_gitlab

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from .state import MergeRequest, Project

BASE_FILES = {
    "app.py": "".join(f"line {number}\n" for number in range(1, 41)),
    "gone.py": "farewell\n",
    "old_name.py": "".join(f"row {number}\n" for number in range(1, 21)),
    "pure.py": "moved as it is\nsecond line\n",
    "same.py": "untouched\n",
    "with space.txt": "before\n",
}
HEAD_FILES = {
    # Line 10 replaced, one line added after 20: context 9/9 and 21/22, outside 2/2 and 30/31.
    "app.py": BASE_FILES["app.py"]
    .replace("line 10\n", "line ten\n")
    .replace("line 20\n", "line 20\nextra\n"),
    "gone.py": None,
    "new.py": "first\nsecond\n",
    "old_name.py": None,
    "new_name.py": BASE_FILES["old_name.py"].replace("row 5\n", "row five\n"),
    "pure.py": None,
    "moved.py": BASE_FILES["pure.py"],
    "with space.txt": "after\n",
}


@dataclass
class Answer:
    """Status, headers, and the body as JSON where it is JSON, else as text."""

    status: int
    body: Any
    headers: dict[str, str]


class Wire:
    """Raw requests with one token."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str | None) -> None:
        self._session = session
        self._url = url
        self._headers = {"PRIVATE-TOKEN": token} if token else {}

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        headers = {**self._headers, **options.pop("headers", {})}
        url = f"{self._url}/api/v4{path}"
        async with self._session.request(method, url, headers=headers, **options) as response:
            text = await response.text()
            body = json.loads(text) if response.content_type == "application/json" else text
            return Answer(response.status, body, dict(response.headers))

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.ask("GET", path, **options)

    async def post(self, path: str, **options: Any) -> Answer:
        return await self.ask("POST", path, **options)

    async def put(self, path: str, **options: Any) -> Answer:
        return await self.ask("PUT", path, **options)

    async def delete(self, path: str, **options: Any) -> Answer:
        return await self.ask("DELETE", path, **options)


@dataclass
class Received:
    """One webhook request as the receiver saw it."""

    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.raw)
        return parsed


@dataclass
class Receiver:
    """A webhook receiver that keeps what it gets; `statuses` are given out first, then 200."""

    url: str = ""
    requests: list[Received] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    hang: bool = False

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append(Received(dict(request.headers), await request.read()))
        if self.hang:
            await asyncio.Event().wait()
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)

    def bodies(self, kind: str = "merge_request") -> list[dict[str, Any]]:
        return [r.body for r in self.requests if r.body["object_kind"] == kind]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/webhook", receiver.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/webhook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@dataclass
class Scene:
    """A server with one project and one open merge request, and three callers."""

    gitlab: SimulatedGitLab
    project: Project
    merge_request: MergeRequest
    bot: Wire
    reader: Wire
    human: Wire
    receiver: Receiver
    session: aiohttp.ClientSession

    @property
    def api(self) -> str:
        """The path of the merge request in the API."""
        return f"/projects/{self.project.id}/merge_requests/{self.merge_request.iid}"

    def wire(self, token: str | None) -> Wire:
        return Wire(self.session, self.gitlab.url, token)

    def position(self, path: str, **fields: Any) -> dict[str, Any]:
        """Return a text position on the current head; both paths are `path` unless given."""
        refs = self.merge_request.versions[-1].diff_refs
        paths = {"old_path": path, "new_path": path}
        return {**refs, "position_type": "text", **paths, **fields}

    async def discuss(self, path: str, *, body: str = "Look here", **fields: Any) -> Answer:
        position = self.position(path, **fields)
        return await self.bot.post(
            f"{self.api}/discussions", json={"body": body, "position": position}
        )

    async def draft(self, path: str, *, note: str = "Look here", **fields: Any) -> Answer:
        position = self.position(path, **fields)
        return await self.bot.post(
            f"{self.api}/draft_notes", json={"note": note, "position": position}
        )


@asynccontextmanager
async def opened_merge_request(folder: Path, *, hooks: bool = False) -> AsyncIterator[Scene]:
    """Run a server with BASE_FILES on main and HEAD_FILES on feature, merge request open."""
    async with receiving() as receiver, running_gitlab(folder) as gitlab:
        project = gitlab.create_project("group/sub/app", files=BASE_FILES)
        gitlab.commit(project, branch="feature", files=HEAD_FILES, message="Change much\n\nWhy.")
        if hooks:
            gitlab.set_webhook(url=receiver.url, secret="verbatim secret")  # a test's
        merge_request = await gitlab.open_merge_request(
            project, source_branch="feature", title="Change much", description="As asked."
        )
        await gitlab.settle()
        async with aiohttp.ClientSession() as session:
            tokens = (gitlab.write_token, gitlab.read_token, gitlab.human_token)
            bot, reader, human = (Wire(session, gitlab.url, token) for token in tokens)
            people = {"bot": bot, "reader": reader, "human": human}
            yield Scene(
                gitlab, project, merge_request, receiver=receiver, session=session, **people
            )
