"""Gathers what is known of a merge request: the log, GitLab now, slots, consumers, dead letters.

Called by `events`; the answer is made of it by `why`.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Self

from libs.common import reviewing, subjects
from libs.common.allowed import allowed
from libs.common.errors import AgentError, cut
from libs.common.events.envelope import Recorded
from libs.common.events.facts import MrOpened
from libs.common.events.tasks import TaskRequested
from libs.common.gitlab.errors import NotFound
from libs.common.gitlab.inspection import GitLabInspection
from libs.common.gitlab.models import MergeRequest
from libs.common.gitlab.server import Server
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.inspection import consumer_state, dead_letters_of
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import DEDUP, LOCKS
from libs.common.launching.launches import Attempts, Launches
from libs.common.launching.protocol import job_name
from libs.common.launching.slots import Slots
from libs.common.reviewed import Reviewed
from services.ops.doctor.situation import Situation
from services.ops.why import Seen

DEFAULT_SLOTS = 2
"""Of MAX_CONCURRENT_TASKS."""


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

    async def path(self, project_id: int) -> str:
        """The project's path, or an empty string."""
        if self._client is None:
            return ""
        try:
            return (await self._client.find_project(str(project_id))).path_with_namespace
        except AgentError:
            return ""


async def gather(
    connection: Connection, live: Live, situation: Situation, project_id: int, iid: int
) -> Seen:
    """Everything about one merge request; raises `AgentError` when the log cannot be read."""
    history = await JetStreamLog(connection).history(subjects.history(project_id, iid))
    mr, reviewer, publisher, letters = await asyncio.gather(
        live.merge_request(project_id, iid),
        consumer_state(connection, "reviewer"),
        consumer_state(connection, "publisher"),
        dead_letters_of(connection, str(project_id), str(iid)),
    )
    slots = _slots(situation)
    return Seen(
        history=tuple(history),
        live=mr,
        gitlab_problem=live.problem,
        gone=live.gone,
        decision=await _decision(connection, live, situation, mr, history),
        allowed=None if history else await _allowed(live, situation, project_id),
        letters=tuple(letters),
        reviewer=reviewer,
        publisher=publisher,
        held=frozenset(await Slots(JetStreamKeyValue(connection, LOCKS), slots).held()),
        slots=slots,
        launches=await _launches(connection, history),
    )


def _slots(situation: Situation) -> int:
    text = situation.value("MAX_CONCURRENT_TASKS")
    return int(text) if text.isdecimal() and int(text) else DEFAULT_SLOTS


async def _decision(
    connection: Connection,
    live: Live,
    situation: Situation,
    mr: MergeRequest | None,
    history: list[Recorded],
) -> reviewing.Decision | None:
    """What the reviewer decides for the newest event, by its own rules."""
    opened = [record for record in history if isinstance(record.event, MrOpened)]
    if mr is None or not opened:
        return None
    newest = max(opened, key=lambda record: record.seq)
    assert isinstance(newest.event, MrOpened)  # noqa: S101  # filtered above
    head, seen_sha = reviewing.head_of(mr), newest.event.head_sha
    moved = head.is_open and seen_sha != head.sha
    known = await live.heads(mr.project_id, mr.iid) if moved else set()
    age = max(datetime.now(UTC) - newest.time, timedelta())
    early = reviewing.settle(seen_sha, head, known, age)
    if early is not None and not (isinstance(early, reviewing.Nothing) and moved):
        return early
    reviewed = await Reviewed(JetStreamKeyValue(connection, DEDUP)).of(mr.project_id, mr.iid)
    drafts = situation.value("REVIEW_DRAFTS").lower() in {"true", "1", "yes"}
    return reviewing.decide(head, history, reviewed=reviewed, review_drafts=drafts)


async def _allowed(live: Live, situation: Situation, project_id: int) -> bool | None:
    """Whether GITLAB_PROJECTS lets the project in; None when that cannot be told."""
    given = situation.value("GITLAB_PROJECTS").split(",")
    served = allowed(part for part in given if part.strip())
    if served.serves(project_id, "") or not served.paths:
        return served.serves(project_id, "")
    path = await live.path(project_id)
    return served.serves(project_id, path) if path else None


async def _launches(connection: Connection, history: list[Recorded]) -> dict[str, Attempts]:
    counts = Launches(JetStreamKeyValue(connection, DEDUP))
    tasks = [record.event for record in history if isinstance(record.event, TaskRequested)]
    names = {task.task_id: job_name(task.kind, task.task_id) for task in tasks}
    return {task_id: await counts.get(name) for task_id, name in names.items()}
