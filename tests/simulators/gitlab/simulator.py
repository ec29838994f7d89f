"""The simulated GitLab as tests use it: a server in this process with a handle on its world.

`running_gitlab` starts one on a free port; `python -m tests.simulators.gitlab` uses the same
class. A folder that was used before is emptied: every start is fresh.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web

from . import comments, control, events, rest, smart_http
from . import merge_requests as life
from . import web as pages
from .api import WORLD
from .faults import Faults
from .middleware import FAULTS, LOG, MIDDLEWARES, THROTTLE
from .repository import ZERO_SHA, Content, Repository
from .request_log import LoggedRequest, RequestLog
from .state import DEVELOPER, MAINTAINER, Hook, Member, Project, Token, World
from .webhooks import Delivery, Webhooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from .settings import ServerSettings
    from .state import Discussion, DraftNote, ExecutedCommand, MergeRequest, Note, User

READ_SCOPES = {"read_api", "read_repository"}
MAX_REQUEST = 64 * 1024 * 1024


class SimulatedGitLab:
    """One GitLab server. `users`: alice (human, owner of every project) and copilot-agent (bot)."""

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.world = World(folder)
        self.world.webhooks = Webhooks(self.world)
        self.faults = Faults()
        self.log = RequestLog()
        self.alice = self.world.add_user("alice", name="Alice Adams")
        self.bot = self.world.add_user("copilot-agent", name="Copilot Agent", bot=True)
        self._human = self.world.add_token(self.alice, {"api"})
        self._read = self.world.add_token(self.bot, READ_SCOPES)
        self._write = self.world.add_token(self.bot, {"api"})
        self._hook: dict[str, Any] | None = None
        self._runner: web.AppRunner | None = None

    # --- the server -------------------------------------------------------------

    async def start(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        app = web.Application(middlewares=MIDDLEWARES, client_max_size=MAX_REQUEST)
        app[WORLD], app[LOG], app[FAULTS] = self.world, self.log, self.faults
        app[THROTTLE], app[smart_http.PUSHES] = deque(), {}
        app[control.GITLAB] = self
        for part in (rest, control, smart_http, pages):
            app.add_routes(part.routes())
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        bound = self._runner.addresses[0][1]
        self.world.url = f"http://{host}:{bound}"

    async def stop(self) -> None:
        await self.world.webhooks.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        return self.world.url

    @property
    def settings(self) -> ServerSettings:
        return self.world.settings

    def advance(self, seconds: float) -> None:
        """Move the server's clock forward."""
        self.world.clock.advance(seconds)

    # --- people and tokens --------------------------------------------------------

    @property
    def read_token(self) -> str:
        return self._read.value

    @property
    def write_token(self) -> str:
        return self._write.value

    @property
    def human_token(self) -> str:
        return self._human.value

    def use_tokens(self, *, read: str | None, write: str | None) -> None:
        """Replace the bot's tokens by those given from outside."""
        if read:
            del self.world.tokens[self._read.value]
            self._read = self.world.add_token(self.bot, READ_SCOPES, value=read)
        if write:
            del self.world.tokens[self._write.value]
            self._write = self.world.add_token(self.bot, {"api"}, value=write)

    def add_user(
        self, username: str, *, project: Project | None = None, access_level: int = DEVELOPER
    ) -> User:
        user = self.world.add_user(username)
        if project is not None:
            self.add_member(project, user, access_level)
        return user

    def add_member(
        self, project: Project, user: User, access_level: int, *, inherited: bool = False
    ) -> None:
        project.members[user.id] = Member(access_level, inherited)

    def add_token(self, user: User, scopes: Iterable[str] = ("api",), *, kind: str = "") -> Token:
        return self.world.add_token(user, set(scopes), kind=kind)

    # --- projects and commits -----------------------------------------------------

    def create_project(
        self,
        path: str,
        *,
        files: Mapping[str, Content] | None = None,
        default_branch: str = "main",
        visibility: str = "private",
        bot_access: int = DEVELOPER,
        message: str = "Initial commit",
    ) -> Project:
        """Create a project with one commit; `bot_access` 0 hides it from the bot."""
        world = self.world
        repository = Repository(world.folder / "repositories" / f"{path}.git")
        repository.create(default_branch)
        project = Project(world.next_id(), path, repository, world.clock.now(), world)
        project.default_branch, project.visibility = default_branch, visibility
        project.members[self.alice.id] = Member(MAINTAINER)
        if bot_access:
            project.members[self.bot.id] = Member(bot_access)
        if self._hook is not None:
            project.hooks.append(self._new_hook())
        world.projects[project.id] = project
        content = files if files is not None else {"README.md": f"# {project.name}\n"}
        self.commit(project, branch=default_branch, files=content, message=message)
        return project

    def fork_project(self, project: Project, path: str, *, bot_access: int = 0) -> Project:
        fork = self.create_project(
            path, bot_access=bot_access, default_branch=project.default_branch
        )
        fork.repository.git(
            "fetch",
            "--quiet",
            "--force",
            str(project.repository.path),
            "+refs/heads/*:refs/heads/*",
            "--update-head-ok",
        )
        fork.forked_from = project
        return fork

    def commit(
        self,
        project: Project,
        *,
        branch: str,
        files: Mapping[str, Content],
        start: str | None = None,
        message: str = "Change files",
        author: User | None = None,
    ) -> str:
        """Commit on a branch, which starts at `start` (or the default branch) when it is new.

        Merge requests follow, but no webhook is sent: `push` sends it.
        """
        with self.lost_webhooks():
            return self._commit(project, branch, files, (start, message, author))

    def _commit(
        self,
        project: Project,
        branch: str,
        files: Mapping[str, Content],
        rest_of_it: tuple[str | None, str, User | None],
    ) -> str:
        start, message, author = rest_of_it
        who = author or self.alice
        repository = project.repository
        before = repository.branch(branch)
        first = start or project.default_branch
        parent = before or repository.branch(first) or repository.commit_sha(first)
        sha = repository.commit(
            branch,
            files,
            parent=parent,
            message=message,
            author=(who.name, f"{who.username}@example.com"),
            when=int(self.world.clock.now().timestamp()),
        )
        self._branch_moved(project, who, branch, before or ZERO_SHA, sha)
        return sha

    def _branch_moved(
        self, project: Project, user: User, branch: str, before: str, after: str
    ) -> None:
        changed = {f"refs/heads/{branch}": (before, after)}
        events.push_events(self.world, project, user, changed)
        life.branch_moved(self.world, project, user, branch, after)

    async def push(
        self,
        project: Project,
        *,
        branch: str,
        files: Mapping[str, Content],
        start: str | None = None,
        message: str = "Change files",
        author: User | None = None,
    ) -> str:
        """Commit and send the webhooks of a push."""
        return self._commit(project, branch, files, (start, message, author))

    async def force_push(self, project: Project, *, branch: str, sha: str) -> None:
        before = project.repository.branch(branch) or ZERO_SHA
        project.repository.set_ref(f"refs/heads/{branch}", sha)
        self._branch_moved(project, self.alice, branch, before, sha)

    async def delete_branch(self, project: Project, *, branch: str) -> None:
        before = project.repository.branch(branch) or ZERO_SHA
        project.repository.set_ref(f"refs/heads/{branch}", None)
        self._branch_moved(project, self.alice, branch, before, ZERO_SHA)

    # --- merge requests -----------------------------------------------------------

    async def open_merge_request(
        self,
        project: Project,
        *,
        source_branch: str,
        target_branch: str | None = None,
        title: str = "Change files",
        description: str = "",
        draft: bool = False,
        author: User | None = None,
        source_project: Project | None = None,
    ) -> MergeRequest:
        return life.open_merge_request(
            self.world,
            author or self.alice,
            source_project=source_project or project,
            project=project,
            source_branch=source_branch,
            target_branch=target_branch or project.default_branch,
            title=f"Draft: {title}" if draft else title,
            description=description,
        )

    async def close(self, merge_request: MergeRequest) -> None:
        life.change_state(self.world, merge_request, self.alice, "closed")

    async def reopen(self, merge_request: MergeRequest) -> None:
        life.change_state(self.world, merge_request, self.alice, "opened")

    async def merge(self, merge_request: MergeRequest) -> None:
        life.merge(self.world, merge_request, self.alice)

    async def mark_ready(self, merge_request: MergeRequest) -> None:
        life.set_draft(self.world, merge_request, self.alice, draft=False)

    async def mark_draft(self, merge_request: MergeRequest) -> None:
        life.set_draft(self.world, merge_request, self.alice, draft=True)

    async def retarget(self, merge_request: MergeRequest, target_branch: str) -> None:
        life.edit(self.world, merge_request, self.alice, target_branch=target_branch)

    async def set_title(self, merge_request: MergeRequest, title: str) -> None:
        life.edit(self.world, merge_request, self.alice, title=title)

    async def edit(self, merge_request: MergeRequest, **fields: Any) -> None:
        """Change title, description, target_branch, labels, assignees, reviewers; one hook.

        With no field the hook has empty changes.
        """
        life.edit(self.world, merge_request, self.alice, **fields)

    async def comment(
        self,
        merge_request: MergeRequest,
        text: str,
        *,
        as_user: User | None = None,
        discussion: Discussion | None = None,
    ) -> Note | None:
        """Write a plain comment, or a reply; None when it was commands only."""
        who = as_user or self.alice
        if discussion is not None:
            return comments.reply(self.world, merge_request, who, discussion, text).note
        return comments.post(self.world, merge_request, who, comments.NewNote(text)).note

    async def edit_comment(self, merge_request: MergeRequest, note: Note, text: str) -> None:
        comments.edit(self.world, merge_request, note, text)

    async def resolve(self, merge_request: MergeRequest, discussion: Discussion) -> None:
        comments.set_resolved(
            self.world, merge_request, self.alice, discussion.notes, resolved=True
        )

    def delete_merge_request(self, merge_request: MergeRequest) -> None:
        del merge_request.project.merge_requests[merge_request.iid]

    def delete_project(self, project: Project) -> None:
        del self.world.projects[project.id]

    # --- what there is --------------------------------------------------------------

    def discussions(self, merge_request: MergeRequest) -> list[Discussion]:
        """Return what a person sees: threads and single comments, without system notes."""
        return [d for d in merge_request.discussions() if not d.notes[0].system]

    def notes(self, merge_request: MergeRequest) -> list[Note]:
        return [note for note in merge_request.notes if not note.system]

    def drafts(self, merge_request: MergeRequest) -> list[DraftNote]:
        return list(merge_request.drafts)

    @property
    def requests(self) -> list[LoggedRequest]:
        return self.log.entries

    @property
    def executed_commands(self) -> list[ExecutedCommand]:
        return self.world.executed_commands

    # --- webhooks -------------------------------------------------------------------

    def set_webhook(
        self,
        *,
        url: str | None,
        secret: str | None = None,
        signing_token: str | None = None,
        events: Iterable[str] = ("merge_request", "note"),
    ) -> None:
        """Give every project, present and future, this one hook; None takes it away."""
        self._hook = None
        if url is not None:
            self._hook = {
                "url": url,
                "secret": secret,
                "signing_token": signing_token,
                "events": frozenset(events),
            }
        for project in self.world.projects.values():
            project.hooks[:] = [self._new_hook()] if self._hook else []

    def _new_hook(self) -> Hook:
        created = self.world.clock.now()
        return Hook(id=self.world.next_id(), created_at=created, **(self._hook or {}))

    def add_system_hook(self, *, url: str, secret: str | None = None) -> Hook:
        everything = frozenset({"merge_request", "push", "tag_push"})
        hook = Hook(self.world.next_id(), url, secret, events=everything, system=True)
        self.world.system_hooks.append(hook)
        return hook

    @property
    def deliveries(self) -> list[Delivery]:
        return self.world.webhooks.deliveries

    async def settle(self) -> None:
        """Wait until the deliveries under way have their answers."""
        await self.world.webhooks.settle()

    async def resend(self, delivery: Delivery) -> Delivery:
        return await self.world.webhooks.resend(delivery)

    async def duplicate(self, delivery: Delivery) -> Delivery:
        return await self.world.webhooks.duplicate(delivery)

    def hold_webhooks(self) -> None:
        """Keep deliveries back until `release_webhooks`."""
        self.world.webhooks.hold = True

    async def release_webhooks(
        self, order: Callable[[list[Delivery]], list[Delivery]] = list
    ) -> None:
        await self.world.webhooks.release(order)

    @contextlib.contextmanager
    def lost_webhooks(self) -> Iterator[None]:
        """Let things happen without any webhook, as when a delivery is lost."""
        muted, self.world.webhooks.muted = self.world.webhooks.muted, True
        try:
            yield
        finally:
            self.world.webhooks.muted = muted


@asynccontextmanager
async def running_gitlab(
    folder: Path,
    *,
    webhook_url: str | None = None,
    webhook_secret: str | None = None,
    signing_token: str | None = None,
) -> AsyncIterator[SimulatedGitLab]:
    """Run a fresh server on a free port of the loopback address; the folder is emptied first."""
    gitlab = await asyncio.to_thread(SimulatedGitLab, folder)
    gitlab.set_webhook(url=webhook_url, secret=webhook_secret, signing_token=signing_token)
    await gitlab.start()
    try:
        yield gitlab
    finally:
        await gitlab.stop()
