"""People at the simulated GitLab and Jira of the cluster, over their control interfaces.

What they make is named by small references, which `installed.Installed` takes as the stories of
one machine take the simulators' own objects.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.e2e.coding import AFTER, BEFORE
from tests.simulators.gitlab.state import DEVELOPER

NUMBERS = itertools.count(1)
DEFECT = "def price(total):\n    return eval(total)\n"


@dataclass(frozen=True)
class ProjectRef:
    id: int
    path: str


@dataclass(frozen=True)
class Opened:
    """A merge request as it was when it was opened."""

    project: ProjectRef
    iid: int
    head_sha: str
    web_url: str


@dataclass(frozen=True)
class NoteRef:
    id: int
    discussion_id: str


@dataclass(frozen=True)
class IssueRef:
    key: str


@dataclass(frozen=True)
class Peer:
    """A simulator behind a forwarded port."""

    http: aiohttp.ClientSession
    port: int

    async def sim(self, path: str, body: dict[str, Any] | None = None, method: str = "POST") -> Any:
        """One call of the control interface."""
        return await self._call(method, f"/-/sim/{path}", json=body or {})

    async def seen(self, path: str) -> Any:
        return await self._call("GET", f"/-/sim/{path}")

    async def _call(self, method: str, path: str, **more: Any) -> Any:
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.http.request(method, url, **more) as answer:
            said = await answer.text()
            assert answer.status < 300, f"{method} {path} was answered {answer.status}: {said}"
            return await answer.json() if said else None


@dataclass(frozen=True)
class GitLab(Peer):
    """What people do in GitLab, and what they see there."""

    token: str
    """To read by the REST API."""

    async def project(self, path: str = "", **files: str) -> ProjectRef:
        path = path or f"cluster/app{next(NUMBERS)}"
        given = {"app.py": BEFORE, "NOTES.md": "# Notes\n"} | files
        made = await self.sim("projects", {"path": path, "files": given})
        return ProjectRef(made["id"], path)

    async def person(self, project: ProjectRef, level: int = DEVELOPER) -> str:
        name = f"person{next(NUMBERS)}"
        await self.sim("users", {"username": name})
        place = f"projects/{project.id}/members/{name}"
        await self.sim(place, {"access_level": level}, method="PUT")
        return name

    async def opened(
        self, project: ProjectRef | None = None, *, branch: str = "topic", **more: Any
    ) -> Opened:
        """A merge request that brings a defect, which a review finds on line 2 of `app.py`."""
        project = project or await self.project()
        await self.sim(
            f"projects/{project.id}/commits", {"branch": branch, "files": {"app.py": DEFECT}}
        )
        return await self._opened(project, branch, **more)

    async def draft(self, **more: Any) -> Opened:
        """A merge request that nobody reviews."""
        project = await self.project()
        await self.sim(
            f"projects/{project.id}/commits", {"branch": "topic", "files": {"app.py": AFTER}}
        )
        return await self._opened(project, "topic", draft=True, **more)

    async def _opened(self, project: ProjectRef, branch: str, **more: Any) -> Opened:
        asked = {"source_branch": branch, "title": f"Change {branch}"} | more
        made = await self.sim(f"projects/{project.id}/merge_requests", asked)
        return Opened(project, made["iid"], made["head_sha"], made["web_url"])

    async def close(self, mr: Opened) -> None:
        await self.sim(f"projects/{mr.project.id}/merge_requests/{mr.iid}/close")

    async def comment(self, mr: Opened, text: str, by: str = "") -> NoteRef:
        author = by or await self.person(mr.project)
        place = f"projects/{mr.project.id}/merge_requests/{mr.iid}/comment"
        written = await self.sim(place, {"body": text, "author": author})
        return NoteRef(written["note_id"], written["discussion_id"])

    async def notes(self, mr: Opened) -> list[dict[str, Any]]:
        found = await self.seen(f"projects/{mr.project.id}/merge_requests/{mr.iid}/notes")
        assert isinstance(found, list)
        return found

    async def said(self, mr: Opened, note: NoteRef | None = None) -> list[str]:
        """The agent's words in a merge request, or in one note's thread."""
        return [
            one["body"]
            for one in await self.notes(mr)
            if one["author"]["username"] == BOT
            and (note is None or one["discussion_id"] == note.discussion_id)
        ]

    async def commits(self, mr: Opened) -> list[dict[str, Any]]:
        """The agent's commits of a merge request, newest first."""
        found = await self.rest(f"projects/{mr.project.id}/merge_requests/{mr.iid}/commits")
        return [one for one in found if "Gca-Task: " in one["message"]]

    async def merge_requests(self, project: ProjectRef) -> list[dict[str, Any]]:
        found = await self.seen(f"projects/{project.id}/merge_requests")
        assert isinstance(found, list)
        return found

    async def rest(self, path: str) -> Any:
        return await self._call("GET", f"/api/v4/{path}", headers={"PRIVATE-TOKEN": self.token})


@dataclass(frozen=True)
class Jira(Peer):
    """What people do in Jira, and what they see there."""

    async def issue(self, project: str, summary: str, description: str) -> IssueRef:
        asked = {"project": project, "summary": summary, "description": description}
        return IssueRef((await self.sim("issues", asked))["key"])

    async def move(self, issue: IssueRef, status: str) -> None:
        await self.sim(f"issues/{issue.key}/move", {"status": status})

    async def comments(self, issue: IssueRef) -> list[str]:
        shown = await self.seen(f"issues/{issue.key}")
        return [str(comment["body"]) for comment in shown["comments"]]


BOT = "copilot-agent"
