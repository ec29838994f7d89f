"""The simulated GitLab as tests use it: a server in this process with a handle on its world.

`running_gitlab` starts one on a free port; `python -m tests.simulators.gitlab` uses the same
class. Every start is fresh: the repositories of an earlier start in the folder are removed.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from . import control, pushes
from .people import People
from .repository import ZERO_SHA, Content, Repository
from .state import DEVELOPER, MAINTAINER, OWNER, Hook, Member, Project, Protection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from aiohttp import web

    from .state import Pipeline, User
    from .webhooks import Delivery


class SimulatedGitLab(People):
    """One GitLab server: its projects and webhooks, besides what its bases have."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._hook: dict[str, Any] | None = None

    def application(self) -> web.Application:
        app = super().application()
        app[control.GITLAB] = self
        return app

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
        project.protections[default_branch] = Protection()
        project.members[self.alice.id] = Member(MAINTAINER)
        if bot_access:
            project.members[self.bot.id] = Member(bot_access)
        if self._hook is not None:
            project.hooks.append(self._new_hook())
        world.projects[project.id] = project
        content = files if files is not None else {"README.md": f"# {project.name}\n"}
        self.commit(project, branch=default_branch, files=content, message=message)
        return project

    def fork_project(
        self,
        project: Project,
        path: str,
        *,
        bot_access: int = 0,
        visibility: str = "private",
        owner: User | None = None,
    ) -> Project:
        """Fork with every branch; `owner` (alice, when not given) may do everything there."""
        fork = self.create_project(
            path,
            bot_access=bot_access,
            visibility=visibility,
            default_branch=project.default_branch,
        )
        if owner is not None:
            fork.members = {**fork.members, owner.id: Member(OWNER)}
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

    def pipelines(self, project: Project, *, sha: str = "") -> list[Pipeline]:
        """Return the pipelines of a project, oldest first; of one commit with `sha`."""
        return [one for one in project.pipelines if sha in {"", one.sha}]

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
        pushes.landed(self.world, project, user, {f"refs/heads/{branch}": (before, after)})

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
    """Run a fresh server on a free port of the loopback address; fresh each time."""
    gitlab = await asyncio.to_thread(SimulatedGitLab, folder)
    gitlab.set_webhook(url=webhook_url, secret=webhook_secret, signing_token=signing_token)
    await gitlab.start()
    try:
        yield gitlab
    finally:
        await gitlab.stop()
