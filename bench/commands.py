"""Commands and a Jira issue through the whole system: how often GitLab and Jira are asked.

Real services, nats-server, git and Copilot CLI; GitLab, Jira and the model are the simulators of
the tests. The reviewer is left out: what it asks about the pushed commit is another event's work.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from pathlib import Path

import msgspec

from bench.reviews import installed_cli, kind
from libs.common.events.facts import JiraReady, NoteCommand
from libs.common.events.tasks import TaskPublished
from tests.e2e.coding import BUDGETS, open_draft
from tests.e2e.system import System, running_system
from tests.simulators.gitlab import LoggedRequest, MergeRequest
from tests.simulators.jira import Issue

SERVICES = ("ingest", "coder", "publisher")
CODE = "command that becomes a commit"
ASK = "question that becomes an answer"
JIRA = "Jira issue that becomes a Draft merge request"
COMMANDS = {
    CODE: "/copilot add a note about rounding",
    ASK: "/copilot ask what does price return?",
}
_JIRA_PATH = re.compile(r"^/rest/api/[23]")
_COMMENT = re.compile(r"^POST .*/comment$")
_ISSUE = re.compile(r"/issue/[A-Z][A-Z0-9_]*-\d+")


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One task from its event in the log to its last word; calls by kind."""

    name: str
    gitlab: dict[str, int]
    jira: dict[str, int]
    """Without the poller's searches, which are no part of the task."""
    to_comment: int
    """Calls of `jira` until its comment is there; the move to in-review comes after it."""
    fetches: int
    """git's own requests."""
    seconds: float


async def measure(folder: Path, *, times: int) -> list[Command]:
    """`times` of each kind, in order."""
    home = folder / "home"
    home.mkdir(parents=True)
    settings = BUDGETS | {"HOME": str(home), "COPILOT_CLI_PATH": str(installed_cli())}
    found = []
    async with running_system(folder, settings=settings, services=SERVICES, jira=True) as system:
        await system.until(lambda: "the agent is known" in system.logs(), "ingest to know us")
        for _ in range(times):
            found += [await _noted(system, name, text) for name, text in COMMANDS.items()]
            found.append(await _moved(system))
    return found


async def _noted(system: System, name: str, text: str) -> Command:
    mr = await open_draft(system)
    note = await system.note(mr, text)
    published = await system.answer_to(mr, note, seconds=120)
    return await _counted(system, name, mr, published)


async def _moved(system: System) -> Command:
    issue = system.tracker.issue("Round prices", "Add a note that prices are rounded.")
    system.tracker.move(issue)
    published = await system.answer_to_issue(issue, seconds=120)
    return await _counted(system, JIRA, issue, published)


async def _counted(
    system: System, name: str, about: MergeRequest | Issue, published: TaskPublished
) -> Command:
    if published.outcome != "posted":
        raise RuntimeError(f"{name}: {published}")
    history = await system.history(about)
    began = next(r.time for r in history if isinstance(r.event, NoteCommand | JiraReady))
    ended = next(r.time for r in history if r.event == published)
    requests = within(system.gitlab.requests, began, ended)
    asked = within(system.tracker.jira.requests, began, ended)
    calls = [request for request in requests if request.path.startswith("/api/")]
    own = [request for request in asked if not is_search(request)]
    return Command(
        name=name,
        gitlab=dict(Counter(kind(request) for request in calls)),
        jira=dict(Counter(kind_in_jira(request) for request in own)),
        to_comment=until_comment(own),
        fetches=len(requests) - len(calls),
        seconds=(ended - began).total_seconds(),
    )


def within(requests: list[LoggedRequest], since: datetime, until: datetime) -> list[LoggedRequest]:
    """Those that began within."""
    return [request for request in requests if since <= request.started <= until]


def until_comment(requests: list[LoggedRequest]) -> int:
    """How many there are up to the one that writes the comment."""
    paths = [f"{request.method} {request.path}" for request in requests]
    written = [number for number, path in enumerate(paths, 1) if _COMMENT.search(path)]
    return written[0] if written else 0


def is_search(request: LoggedRequest) -> bool:
    return "/search" in request.path


def kind_in_jira(request: LoggedRequest) -> str:
    """Method and route, so that calls of one kind count together."""
    route = _ISSUE.sub("/issue/:key", _JIRA_PATH.sub("", request.path))
    return f"{request.method} {route}"
