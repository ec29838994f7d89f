"""GitLab as it is now, for `gca events` and `gca stats`; each trouble is a sentence."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Self

from libs.common import asking
from libs.common.access import Levels
from libs.common.errors import AgentError, cut
from libs.common.events.facts import NoteCommand
from libs.common.gitlab.agent import agent_user
from libs.common.gitlab.errors import NotFound
from libs.common.gitlab.inspection import GitLabInspection
from libs.common.gitlab.models import MergeRequest
from libs.common.gitlab.server import Server
from services.ops.doctor.situation import Situation


class Live:
    """GitLab as it is now, asked with the read token; every trouble is a sentence."""

    def __init__(self, situation: Situation) -> None:
        self._situation = situation
        self._stack = AsyncExitStack()
        self._client: GitLabInspection | None = None
        self.problem = ""
        self.gone = False

    async def __aenter__(self) -> Self:
        self._client = self._made()
        if self._client is not None:
            self._stack.push_async_callback(self._client.aclose)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _made(self) -> GitLabInspection | None:
        situation = self._situation
        url, token = situation.value("GITLAB_URL"), situation.token("GITLAB_READ_TOKEN")
        if not url or not token:
            self.problem = "GITLAB_URL or GITLAB_READ_TOKEN is not set here"
            return None
        server = Server(
            url=url,
            token=token,
            token_setting="GITLAB_READ_TOKEN",  # noqa: S106  # the setting's name
            ca_bundle=situation.value("CA_BUNDLE") or None,
            allow_http=situation.value("ALLOW_HTTP_GITLAB").lower() in {"true", "1", "yes"},
            connect_timeout=situation.seconds * 0.6,
            read_timeout=situation.seconds * 0.8,
        )
        try:
            return GitLabInspection(server, pauses=())
        except AgentError as error:
            self.problem = cut(str(error))
            return None

    async def project_id(self, path: str) -> int:
        """The id of a project given by its path; raises `AgentError`."""
        if self._client is None:
            raise AgentError(f"{path} cannot be looked up: {self.problem}; name it by its id")
        return (await self._client.find_project(path)).id

    async def merge_request(self, project_id: int, iid: int) -> MergeRequest | None:
        """As it is now; None when it cannot be had, then `gone` or `problem` says why."""
        self.gone = False
        if self._client is None:
            return None
        self.problem = ""
        try:
            return await self._client.merge_request(project_id, iid)
        except NotFound:
            self.gone = True
        except AgentError as error:
            self.problem = cut(str(error))
        return None

    async def heads(self, project_id: int, iid: int) -> set[str]:
        """The heads of its versions; empty when they cannot be had."""
        if self._client is None:
            return set()
        try:
            found = await self._client.versions(project_id, iid)
        except AgentError:
            return set()
        return {version.head_commit_sha for version in found}

    async def left_alone(self, event: NoteCommand, username: str) -> str:
        """Why the services do nothing about a command; empty when they do, or it is not known."""
        if self._client is None:
            return ""
        try:
            found = await asking.look_up(
                event,
                gitlab=self._client,
                agent=await agent_user(self._client, username),
                levels=Levels(),
                now=datetime.now(UTC),
            )
        except AgentError:
            return ""
        return found.why if isinstance(found, asking.Ignored) else ""

    async def path(self, project_id: int) -> str:
        """The project's path, or an empty string."""
        if self._client is None:
            return ""
        try:
            return (await self._client.find_project(str(project_id))).path_with_namespace
        except AgentError:
            return ""
