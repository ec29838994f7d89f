from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from libs.common.errors import AgentError, Permanent, Temporary
from libs.common.gitlab.models import User
from services.ingest.agent import AgentLookup
from services.ingest.notes import Agent


class Accounts:
    """GitLab's users; raises what is in `fail_next` first, and tells when it has answered."""

    def __init__(self, *users: User) -> None:
        self.users = {user.username: user for user in users}
        self.fail_next: list[AgentError] = []
        self.asked = 0
        self.was_asked, self.answered = asyncio.Event(), asyncio.Event()

    async def current_user(self) -> User:
        self._called()
        return next(iter(self.users.values()))

    async def user_named(self, username: str) -> User | None:
        self._called()
        return self.users.get(username.lower())

    def _called(self) -> None:
        self.asked += 1
        self.was_asked.set()
        if self.fail_next:
            raise self.fail_next.pop(0)
        self.answered.set()


BOT = User(id=99, username="gca-bot")


async def known(lookup: AgentLookup, accounts: Accounts) -> Agent:
    """What the lookup says once it has come to rest."""
    stopping = asyncio.Event()
    loop = asyncio.create_task(lookup.run(accounts, stopping))
    async with asyncio.timeout(5):
        await accounts.answered.wait()
    assert not loop.done()
    stopping.set()
    await loop
    return lookup.agent


async def test_the_agent_is_whose_token_it_is() -> None:
    assert await known(AgentLookup(""), Accounts(BOT)) == Agent(username="gca-bot", user_id=99)


async def test_until_gitlab_has_answered_the_agent_is_sought() -> None:
    lookup = AgentLookup("")
    lookup.seek()
    assert lookup.agent == Agent(sought=True)
    assert await known(lookup, Accounts(BOT)) == Agent(username="gca-bot", user_id=99)


async def test_a_name_that_was_set_is_looked_up() -> None:
    accounts = Accounts(User(id=1, username="reader"), BOT)
    assert await known(AgentLookup("GCA-Bot"), accounts) == Agent(username="gca-bot", user_id=99)


async def test_gitlab_away_is_asked_again_and_said() -> None:
    accounts = Accounts(BOT)
    accounts.fail_next = [Temporary("away", delay=0.001), Temporary("still away", delay=0.001)]
    with capture_logs() as lines:
        await known(AgentLookup("", first_pause=0.001), accounts)
    assert accounts.asked == 3
    assert [line["reason"] for line in lines if "reason" in line] == ["away", "still away"]


@pytest.mark.parametrize("error", [Permanent("no"), Temporary("wrong token", delay=60)])
async def test_until_then_the_name_that_was_set_counts_and_nothing_ends(error: AgentError) -> None:
    accounts = Accounts()
    accounts.fail_next = [error]
    lookup, stopping = AgentLookup("gca-bot"), asyncio.Event()
    loop = asyncio.create_task(lookup.run(accounts, stopping))
    async with asyncio.timeout(5):
        await accounts.was_asked.wait()
    assert lookup.agent == Agent(username="gca-bot")
    stopping.set()
    async with asyncio.timeout(5):
        await loop


async def test_a_name_that_gitlab_does_not_know_is_said() -> None:
    accounts, stopping = Accounts(), asyncio.Event()
    with capture_logs() as lines:
        loop = asyncio.create_task(AgentLookup("nobody").run(accounts, stopping))
        async with asyncio.timeout(5):
            await accounts.answered.wait()
    assert lines[0]["reason"] == "AGENT_GITLAB_USERNAME: GitLab knows no user nobody"
    stopping.set()
    await loop
