"""Who the agent is in GitLab: its notes are not commands, and its name in a note is a call.

Called by ingest, the reviewer and the coder. They read with another token than the publisher
writes with, so the account is named by `AGENT_GITLAB_USERNAME` where the two differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from libs.common.errors import Temporary
from libs.common.gitlab.models import User

LOOK_AGAIN = 60.0
"""Seconds; a wrong name is healed by an operator, and what waits for it is done then."""


class Users(Protocol):
    """What is asked of GitLab to know the agent."""

    async def current_user(self) -> User: ...

    async def user_named(self, username: str) -> User | None: ...


async def agent_user(gitlab: Users, username: str) -> User:
    """The agent's account: `username`, or without one that of the token.

    Raises `Temporary` that names the setting when there is no such account.
    """
    if not username:
        return await gitlab.current_user()
    found = await gitlab.user_named(username)
    if found is None:
        raise Temporary(
            f"AGENT_GITLAB_USERNAME: GitLab has no user {username!r}; give the user name of "
            "GITLAB_TOKEN, as GitLab's page of that account shows it",
            delay=LOOK_AGAIN,
        )
    return found


@dataclass
class Agent:
    """The agent's account, asked for when it is first needed and then known."""

    gitlab: Users
    username: str
    _user: User | None = field(default=None, init=False)

    async def user(self) -> User:
        """Raises what `agent_user` raises; the next call asks again."""
        if self._user is None:
            self._user = await agent_user(self.gitlab, self.username)
        return self._user
