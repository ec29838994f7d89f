"""What `gca doctor` asks of GitLab besides what services ask: the server, tokens, rights, webhooks.

Reads only. Built by `services.ops`; every call raises only `libs.common.gitlab.errors`.
"""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime

import gitlab
import msgspec
import requests

from libs.common.gitlab.backend import StrangeAnswer
from libs.common.gitlab.connection import quoted
from libs.common.gitlab.errors import Forbidden, NotFound
from libs.common.gitlab.merge_requests import MergeRequests
from libs.common.gitlab.models import Project
from libs.common.gitlab.people import People


class Greeting(msgspec.Struct, frozen=True, kw_only=True):
    """The server's version, and the time on its answer's Date header."""

    version: str
    time: datetime | None = None


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """A branch as its reader sees it (GitLab REST, branches)."""

    name: str
    protected: bool = False
    developers_can_merge: bool = False
    can_push: bool = False


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of who may do something: a least level, or one user or group by itself."""

    access_level: int = 0
    user_id: int | None = None
    group_id: int | None = None


class Protection(msgspec.Struct, frozen=True, kw_only=True):
    """The rule of a protected branch (GitLab REST, protected branches); level 0 is no one."""

    name: str
    push_access_levels: tuple[Access, ...] = ()
    merge_access_levels: tuple[Access, ...] = ()


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """A project's webhook; `alert_status` is executable, temporarily_disabled or disabled."""

    id: int
    url: str
    merge_requests_events: bool = False
    note_events: bool = False
    alert_status: str = "executable"
    disabled_until: datetime | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to send a hook; GitLab writes `internal error` where nobody answered."""

    response_status: str | int = ""
    trigger: str = ""

    @property
    def succeeded(self) -> bool:
        """GitLab takes 2xx and 3xx for success (web_hook_service.rb)."""
        return str(self.response_status)[:1] in {"2", "3"}


class GitLabInspection(People, MergeRequests):
    """A client with the doctor's questions; needs no more than the token it looks at."""

    async def greeting(self) -> Greeting:
        return await self._read(_greeting)

    async def find_project(self, id_or_path: str) -> Project:
        return await self._get(Project, f"/projects/{quoted(id_or_path)}")

    async def own_projects(self, most: int) -> list[Project]:
        """Some of the projects that the token's user is a member of."""
        path = f"/projects?membership=true&order_by=last_activity_at&per_page={most}"
        return await self._page(Project, path)

    async def access_level(self, project_id: int, user_id: int) -> int:
        """The user's highest level, through groups too; 0 for no member."""
        try:
            path = f"/projects/{project_id}/members/all/{user_id}"
            return (await self._get(Access, path)).access_level
        except NotFound:
            return 0

    async def branch(self, project_id: int, name: str) -> Branch:
        path = f"/projects/{project_id}/repository/branches/{quoted(name)}"
        return await self._get(Branch, path)

    async def protection(self, project_id: int, name: str) -> Protection | None:
        """The rule of exactly this name; None when there is none or it is not for us to read."""
        path = f"/projects/{project_id}/protected_branches/{quoted(name)}"
        try:
            return await self._get(Protection, path)
        except (NotFound, Forbidden):
            return None

    async def hooks(self, project_id: int) -> list[Hook]:
        """Raises `Forbidden` below the role Maintainer."""
        return await self._list(Hook, f"/projects/{project_id}/hooks")

    async def last_delivery(self, project_id: int, hook_id: int) -> Delivery | None:
        """The newest one; None without any, or where the server is too old to tell."""
        path = f"/projects/{project_id}/hooks/{hook_id}/events?per_page=1"
        try:
            found = await self._page(Delivery, path)
        except NotFound:
            return None
        return found[0] if found else None


def _greeting(vendor: gitlab.Gitlab) -> Greeting:
    answer = vendor.http_get("/version", raw=True)
    if not isinstance(answer, requests.Response):
        raise StrangeAnswer("no HTTP answer")
    try:
        version = str(answer.json()["version"])
    except (ValueError, LookupError, TypeError):
        raise StrangeAnswer("no version") from None
    return Greeting(version=version, time=_time(answer.headers.get("Date", "")))


def _time(header: str) -> datetime | None:
    try:
        return parsedate_to_datetime(header)
    except ValueError:
        return None
