"""Who the agent is in GitLab, so that it does not command itself; asked once, in the background.

`run` is one of the service's loops where there is a read token. Until it knows, hooks are taken
all the same: `/copilot` counts, and the name in AGENT_GITLAB_USERNAME; without one, each note that
mentions somebody, as it may be us.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import msgspec
import structlog

from libs.common.errors import AgentError, Permanent, Temporary
from libs.common.gitlab.models import User
from services.ingest.leased_polling import LONGEST_PAUSE, rest
from services.ingest.notes import Agent

log = structlog.get_logger()
FIRST_PAUSE = 2.0


class Users(Protocol):
    """The calls of GitLab's API that tell who we are."""

    async def current_user(self) -> User: ...

    async def user_named(self, username: str) -> User | None: ...


class AgentLookup:
    """`agent` is what is known by now; `username` is the one that an operator has set, or empty."""

    def __init__(self, username: str, *, first_pause: float = FIRST_PAUSE) -> None:
        self.agent = Agent(username=username)
        self.known = asyncio.Event()
        self._first_pause = first_pause

    def seek(self) -> None:
        """GitLab will be asked: from here on no mention is passed over for want of our name."""
        self.agent = msgspec.structs.replace(self.agent, sought=True)

    async def run(self, users: Users, stopping: asyncio.Event) -> None:
        """Ask until there is an answer, then rest until `stopping`."""
        pause = self._first_pause
        while not stopping.is_set():
            try:
                await self._ask(users)
            except AgentError as error:
                log.warning("the agent's account in GitLab is not known yet", reason=str(error))
                delay = error.delay if isinstance(error, Temporary) else LONGEST_PAUSE
                wait = min(max(pause, delay), LONGEST_PAUSE)
                await rest(wait, stopping)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                break
        await stopping.wait()

    async def _ask(self, users: Users) -> None:
        wanted = self.agent.username
        found = await users.user_named(wanted) if wanted else await users.current_user()
        if found is None:
            raise Permanent(f"AGENT_GITLAB_USERNAME: GitLab knows no user {wanted}")
        self.agent = Agent(username=found.username, user_id=found.id)
        self.known.set()
        log.info("the agent is known", username=found.username, user_id=found.id)


def say_what_counts(username: str) -> None:
    """Without a read token nobody is asked; say once what that means."""
    log.info(
        "commands are known by their first word and the agent's name"
        if username
        else "only /copilot is a command; set AGENT_GITLAB_USERNAME or GITLAB_READ_TOKEN for "
        "mentions too",
        username=username,
    )
