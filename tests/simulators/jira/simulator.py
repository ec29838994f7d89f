"""The simulated Jira as tests use it: a server in this process with a handle on its world.

`running_jira` starts one on a free port; `python -m tests.simulators.jira` uses the same class.
"""

from __future__ import annotations

from collections import defaultdict, deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.simulators.gitlab.faults import Faults
from tests.simulators.gitlab.request_log import LoggedRequest, RequestLog

from . import control, page, rest
from .api import WORLD
from .demo import create_demo
from .middleware import FAULTS, LOG, MIDDLEWARES, SPENT
from .state import (
    Body,
    Comment,
    Issue,
    Project,
    Settings,
    Status,
    User,
    Workflow,
    World,
    default_workflow,
)
from .webhooks import Webhooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class SimulatedJira:
    """One Jira: Cloud v3, or Data Center v2.

    alice is a person; `bot` owns `email` and `api_token` (Cloud) and `bearer_token` (Data Center).
    """

    def __init__(self, *, data_center: bool = False) -> None:
        self.world = World(data_center=data_center)
        self.alice = self.world.add_user("alice", "Alice Ash")
        self.bot = self.world.add_user("copilot-agent", "Copilot Agent")
        self.faults = Faults()
        self.log = RequestLog()
        self.webhooks = Webhooks(self.world)
        self.world.changed = self.webhooks.happened
        self._runner: web.AppRunner | None = None

    # --- the server -----------------------------------------------------------------

    async def start(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        app = web.Application(middlewares=MIDDLEWARES)
        app[WORLD], app[LOG], app[FAULTS] = self.world, self.log, self.faults
        spent: defaultdict[str, deque[float]] = defaultdict(deque)
        app[SPENT] = spent
        app[control.JIRA] = self
        for routes in (rest.routes(self.world), control.routes(), page.routes()):
            app.add_routes(routes)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self.world.url = f"http://{host}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self.webhooks.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        return self.world.url

    @property
    def settings(self) -> Settings:
        return self.world.settings

    @property
    def requests(self) -> list[LoggedRequest]:
        return self.log.entries

    def advance(self, seconds: float) -> None:
        """Move the server's clock forward."""
        self.world.clock.advance(seconds)

    # --- people ---------------------------------------------------------------------

    @property
    def email(self) -> str:
        return self.bot.email

    @property
    def api_token(self) -> str:
        return self.bot.api_token

    @property
    def bearer_token(self) -> str:
        return self.bot.bearer_token

    def add_user(self, name: str, display_name: str = "") -> User:
        return self.world.add_user(name, display_name)

    def use_login(
        self, *, email: str | None = None, token: str | None = None, bearer: str | None = None
    ) -> None:
        """Replace the bot's login by one given from outside."""
        self.bot.email = email or self.bot.email
        self.bot.api_token = token or self.bot.api_token
        self.bot.bearer_token = bearer or self.bot.bearer_token

    # --- projects and issues --------------------------------------------------------

    def create_project(
        self, key: str, name: str = "", *, workflow: Workflow | None = None, hidden: bool = False
    ) -> Project:
        """Create a project; its transitions have ids of their own unless `workflow` is given."""
        first = 11 + 1000 * len(self.world.projects)
        made = workflow or default_workflow(first)
        project = Project(self.world.next_id(), key, name or key.title(), made, hidden)
        self.world.projects[key] = project
        return project

    def create_issue(
        self,
        project: Project,
        summary: str = "Do something",
        *,
        description: Body = None,
        status: str = "To Do",
        creator: User | None = None,
        **more: Any,
    ) -> Issue:
        """Create an issue in a status; on Cloud a description in text becomes a document."""
        if isinstance(description, str) and not self.settings.data_center:
            description = document(description)
        now, who = self.world.now(), creator or self.alice
        key = f"{project.key}-{next(project.numbers)}"
        at = project.workflow.status(status)
        issue = Issue(
            self.world.next_id(), key, project, summary, description, at, who, now, now, **more
        )
        self.world.issues[key] = issue
        self.world.changed("jira:issue_created", issue, who, None)
        return issue

    def move(self, issue: Issue, status: str, by: User | None = None) -> str:
        """Change the status whatever the workflow says; return the id of the change."""
        target = issue.project.workflow.status(status)
        return self.world.move(issue, target, by or self.alice).id

    def move_by_nobody(self, issue: Issue, status: str) -> str:
        """Change the status with an author whom Jira does not name, as for deleted accounts."""
        return self.world.move(issue, issue.project.workflow.status(status), None).id

    def edit(self, issue: Issue, *, summary: str, by: User | None = None) -> None:
        before, issue.summary = issue.summary, summary
        names = {"fromString": before, "toString": summary, "from": None, "to": None}
        self.world.record(issue, by or self.alice, field="summary", fieldId="summary", **names)

    def comment(
        self, issue: Issue, text: str, by: User | None = None, *, visibility: str | None = None
    ) -> Comment:
        body = text if self.settings.data_center else document(text)
        return self.world.comment(issue, body, by or self.alice, visibility)

    def rename_status(self, project: Project, before: str, after: str) -> None:
        """Give a status another name, as an administrator may; the history keeps the old one."""
        old = project.workflow.status(before)
        new = Status(old.id, after, old.category)
        workflow = project.workflow
        workflow.statuses = tuple(new if s is old else s for s in workflow.statuses)
        for issue in self.world.issues.values():
            if issue.project is project and issue.status.id == old.id:
                issue.status = new

    def delete(self, issue: Issue) -> None:
        del self.world.issues[issue.key]

    def open_demo(self) -> Issue:
        """The demo's issue; the same one each time."""
        return self.world.issues.get("DEMO-1") or create_demo(self)


def document(text: str) -> dict[str, Any]:
    """Paragraphs of plain text as a document."""
    return {
        "type": "doc",
        "version": 1,
        "content": [
            {"type": "paragraph", "content": [{"type": "text", "text": part}]}
            for part in text.split("\n\n")
            if part.strip()
        ],
    }


@asynccontextmanager
async def running_jira(
    *, data_center: bool = False, webhook_url: str | None = None, webhook_secret: str | None = None
) -> AsyncIterator[SimulatedJira]:
    """Run a fresh server on a free port of the loopback address."""
    jira = SimulatedJira(data_center=data_center)
    jira.webhooks.url, jira.webhooks.secret = webhook_url, webhook_secret
    await jira.start()
    try:
        yield jira
    finally:
        await jira.stop()
