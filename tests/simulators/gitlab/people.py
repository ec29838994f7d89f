"""Who there is and who may what: tokens, members, protected branches.

Base of `simulator.SimulatedGitLab`. What tests change here holds from the next request on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .actions import Actions
from .state import DEVELOPER, MAINTAINER, Member, Protection

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date
    from pathlib import Path

    from .state import Project, Token, User

READ_SCOPES = {"read_api", "read_repository"}


class People(Actions):
    """alice is maintainer of every project and owns `human_token`; the bot owns the other two."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._human = self.world.add_token(self.alice, {"api"})
        self._read = self.world.add_token(self.bot, READ_SCOPES)
        self._write = self.world.add_token(self.bot, {"api"})

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
        self,
        project: Project,
        user: User,
        access_level: int,
        *,
        inherited: bool = False,
        expires_at: date | None = None,
    ) -> None:
        """Make `user` a member, of the project or (inherited) of its group besides."""
        known = project.members.get(user.id)
        if inherited and known is not None and not known.inherited:
            known.group_level = access_level
        else:
            project.members[user.id] = Member(access_level, inherited, expires_at=expires_at)

    def remove_member(self, project: Project, user: User) -> None:
        project.members.pop(user.id, None)

    def block(self, user: User) -> None:
        """Block an account: its memberships stay listed and give no right."""
        user.state = "blocked"

    def add_token(self, user: User, scopes: Iterable[str] = ("api",), *, kind: str = "") -> Token:
        return self.world.add_token(user, set(scopes), kind=kind)

    def protect_branch(
        self,
        project: Project,
        branch: str,
        *,
        push: int = MAINTAINER,
        merge: int = MAINTAINER,
        force: bool = False,
    ) -> None:
        """Protect a branch, or all that match a pattern with `*`; level 0 is no one."""
        project.protections[branch] = Protection(push, merge, force)

    def unprotect_branch(self, project: Project, branch: str) -> None:
        project.protections.pop(branch, None)
