"""The half of the fake GitLab that knows people, branches and files. Used by `FakeGitLab` only."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import msgspec

from libs.common.gitlab.errors import Forbidden, Invalid, NotFound, TimedOut
from libs.common.gitlab.models import Branch, Member, Project, User
from libs.common.gitlab.repositories import LARGEST_FILE

if TYPE_CHECKING:
    from libs.common.errors import AgentError

BOT = User(id=7, username="copilot-agent", bot=True)
ALICE = User(id=8, username="alice")
URL = "https://gitlab.test"
BASE_SHA = "a" * 40


class FakeProjects:
    """Every call is written to `calls`.

    Each error put into `fail_next` is raised by one later call before that call does anything.
    Each name put into `lose_answers` lets one later call of that name do its work and time out.

    Tests set the tables as they like: `members[project_id, user_id]`, `branches[project_id, name]`,
    `protected[project_id]` (names and patterns; None: not for us to read),
    `files[project_id, ref, path]`.
    """

    def __init__(self) -> None:
        self.me = BOT
        self.users: dict[int, User] = {user.id: user for user in (BOT, ALICE)}
        self.projects: dict[int, Project] = {}
        self.members: dict[tuple[int, int], Member] = {}
        self.branches: dict[tuple[int, str], Branch] = {}
        self.protected: dict[int, list[str] | None] = {}
        self.files: dict[tuple[int, str, str], bytes] = {}
        self.calls: list[str] = []
        self.fail_next: list[AgentError] = []
        self.lose_answers: list[str] = []

    # --- what people and tests do ---------------------------------------------------

    def add_project(self, project_id: int = 42, path: str = "group/project") -> Project:
        """A project with a protected branch `main` at `BASE_SHA`."""
        project = Project(
            id=project_id,
            path_with_namespace=path,
            http_url_to_repo=f"{URL}/{path}.git",
            web_url=f"{URL}/{path}",
            default_branch="main",
        )
        self.projects[project_id] = project
        self.protected[project_id] = ["main"]
        self.set_branch(project_id, "main", BASE_SHA)
        return project

    def set_branch(self, project_id: int, name: str, sha: str) -> Branch:
        """Make the branch, or move it; pushes do this too."""
        default = name == self.projects[project_id].default_branch
        known = self.branches.get((project_id, name), Branch(name=name, default=default))
        branch = msgspec.structs.replace(known, sha=sha)
        self.branches[project_id, name] = branch
        return branch

    def add_member(
        self, project_id: int, user: User, access_level: int, *, state: str = "active"
    ) -> Member:
        self.users[user.id] = user
        member = Member(id=user.id, username=user.username, access_level=access_level, state=state)
        self.members[project_id, user.id] = member
        return member

    # --- the port -------------------------------------------------------------------

    async def current_user(self) -> User:
        self._called("current_user")
        return self.me

    async def user(self, user_id: int) -> User:
        self._called("user")
        if user_id not in self.users:
            raise NotFound("GitLab answered 404: 404 User Not Found", status=404)
        return self.users[user_id]

    async def user_named(self, username: str) -> User | None:
        self._called("user_named")
        wanted = username.lower()
        found = (user for user in self.users.values() if user.username.lower() == wanted)
        return next(found, None)

    async def member(self, project_id: int, user_id: int) -> Member | None:
        self._called("member")
        return self.members.get((project_id, user_id))

    async def project(self, project_id: int) -> Project:
        self._called("project")
        return self._project(project_id)

    async def branch(self, project_id: int, name: str) -> Branch | None:
        self._called("branch")
        found = self.branches.get((project_id, name))
        if found is None or project_id not in self.projects:
            return None
        patterns = self.protected.get(project_id) or []
        covered = any(fnmatchcase(name, pattern) for pattern in patterns)
        return msgspec.structs.replace(found, protected=found.protected or covered)

    async def protected_branches(self, project_id: int) -> list[str]:
        self._called("protected_branches")
        self._project(project_id)
        found = self.protected.get(project_id, [])
        if found is None:
            raise Forbidden("GitLab answered 403: 403 Forbidden", status=403)
        return list(found)

    async def file(self, project_id: int, path: str, ref: str) -> bytes | None:
        """By exactly the ref it was put under: a branch's name is not resolved to its tip."""
        self._called("file")
        found = self.files.get((project_id, ref, path))
        if found is not None and len(found) > LARGEST_FILE:
            raise Invalid(f"{path} has more than {LARGEST_FILE} bytes")
        return found

    # --- inside ---------------------------------------------------------------------

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.fail_next:
            raise self.fail_next.pop(0)

    def _answered(self, name: str) -> None:
        if name in self.lose_answers:
            self.lose_answers.remove(name)
            raise TimedOut("GitLab did not answer in time", maybe_done=True)

    def _project(self, project_id: int) -> Project:
        if project_id not in self.projects:
            raise NotFound("GitLab answered 404: 404 Project Not Found", status=404)
        return self.projects[project_id]
