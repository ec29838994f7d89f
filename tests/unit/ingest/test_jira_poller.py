"""The poller with a Jira, a log and a lease in memory, one look after the other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from libs.common.errors import AgentError, Temporary
from libs.common.events.envelope import NewEvent
from libs.common.events.facts import JiraReady
from libs.common.events.log import Created
from libs.common.jetstream.leases import Leases
from libs.common.jira.errors import (
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from libs.common.jira.models import User
from services.ingest.jira_issues import MOST_DOUBTS, Rules
from services.ingest.jira_map import JiraProject
from services.ingest.jira_poller import LEASE, JiraPoller, Ports
from services.ingest.leased_polling import LEASE_SECONDS, RETRY_SECONDS
from tests.fakes.clock import FakeClock
from tests.fakes.jira import FakeJira
from tests.fakes.kv import MemoryKeyValue
from tests.fakes.log import MemoryLog

EVE = User(id="712020:eve", display_name="Eve", email="eve@example.com")


class World:
    """A poller that looks when it is told to."""

    def __init__(self, *projects: str, allowed_users: tuple[str, ...] = ()) -> None:
        self.clock, self.jira = FakeClock(), FakeJira("PROJ", "SHOP")
        self.jira.now = self.clock.now()
        self.log = MemoryLog(self.clock)
        self.keys = MemoryKeyValue(self.clock)
        mapped = {key: JiraProject(key=key, gitlab_project_id=42) for key in projects or ("PROJ",)}
        self.rules = Rules(status="AI Ready", projects=mapped, allowed_users=allowed_users)
        self.poller = self.another()
        self.stopping = asyncio.Event()

    def another(self, interval: float = 0.001) -> JiraPoller:
        leases = Leases(self.keys, self.clock)
        ports = Ports(jira=self.jira, log=self.log, leases=leases, clock=self.clock)
        return JiraPoller(ports, self.rules, interval)

    async def look(self, poller: JiraPoller | None = None) -> AgentError | None:
        async with Leases(self.keys, self.clock).held(LEASE) as lease:
            return await (poller or self.poller).cycle(lease, self.stopping)

    def ready(self, project: str = "PROJ", **by: Any) -> str:
        key = self.jira.add_issue(project)
        self.jira.move(key, "AI Ready", **by)
        return key

    def edit(self, key: str, **fields: Any) -> None:
        self.clock.advance(60)
        self.jira.now = self.clock.now()
        self.jira.change(key, **fields)

    def events(self) -> list[str]:
        assert all(isinstance(found.event, JiraReady) for found in self.log.events)
        return [found.event.issue_key for found in self.log.events]  # type: ignore[union-attr]  # just seen


async def test_an_issue_that_enters_the_status_is_one_event() -> None:
    world = World()
    key = world.ready()
    assert await world.look() is None
    assert world.events() == [key]
    [event] = world.log.events
    assert event.source == "ingest/jira"
    assert event.subject.startswith("jira.ready.PROJ.1.")
    assert event.traceparent


async def test_an_issue_that_stays_costs_one_search_a_look() -> None:
    world = World()
    world.ready()
    for _ in range(3):
        await world.look()
    assert world.jira.calls == [
        "ready_issues",
        "issue",
        "changelog",
        "ready_issues",
        "ready_issues",
    ]


async def test_an_issue_that_is_edited_while_it_stands_there_stays_one_event() -> None:
    world = World()
    key = world.ready()
    for number in range(3):
        await world.look()
        world.edit(key, summary=f"Do {number}")
    assert world.events() == [key]


async def test_an_issue_that_comes_back_is_another_event() -> None:
    world = World()
    key = world.ready()
    await world.look()
    for status in ("In Progress", "AI Ready"):
        world.edit(key)
        world.jira.move(key, status)
    await world.look()
    assert world.events() == [key, key]


async def test_after_a_restart_weeks_later_it_is_still_one_event() -> None:
    """The duplicate window of the log is long over by then."""
    world = World()
    key = world.ready()
    await world.look()
    world.clock.advance(27 * 86_400)
    await world.look(world.another())
    world.clock.advance(10 * 86_400)
    await world.look(world.another())
    assert world.events() == [key]


async def test_sr_11_an_issue_moved_by_somebody_else_is_said_once_and_left() -> None:
    world = World(allowed_users=("alice@example.com",))
    world.ready(by=EVE)
    allowed = world.ready()
    with capture_logs() as lines:
        for _ in range(3):
            await world.look()
    assert world.events() == [allowed]
    skipped = [line for line in lines if line["event"] == "issue skipped"]
    assert [(line["outcome"], line["account_id"]) for line in skipped] == [
        ("not_allowed", "712020:eve")
    ]


async def test_sr_10_an_issue_that_is_hidden_from_some_is_marked() -> None:
    world = World()
    world.jira.add_issue(status="AI Ready", security_level="Staff only")
    await world.look()
    [event] = world.log.events
    assert isinstance(event.event, JiraReady)
    assert event.event.restricted is True


async def test_a_project_that_is_not_mapped_is_not_even_asked_for() -> None:
    world = World("PROJ")
    world.ready("SHOP")
    await world.look()
    assert world.events() == []


async def test_an_issue_without_a_description_is_an_event() -> None:
    world = World()
    world.jira.add_issue(status="AI Ready", description="", summary="")
    await world.look()
    assert len(world.events()) == 1


async def test_an_issue_that_is_gone_before_it_is_read_does_not_stop_the_others() -> None:
    for error in (NotFound("gone"), Forbidden("hidden"), Invalid("odd")):
        world = World()
        world.ready()
        other = world.ready()
        fail_at(world, "issue", error)
        await world.look()
        await world.look()
        assert world.events() == [other]


def fail_at(world: World, call: str, *errors: AgentError) -> None:
    """Let the next calls of that name fail, and no others."""
    world.jira = FailingJira(world.jira, call, list(errors))
    world.poller = world.another()


class FailingJira(FakeJira):
    """A view on another fake whose calls of one name fail first."""

    def __init__(self, inner: FakeJira, call: str, errors: list[AgentError]) -> None:
        self.__dict__ = inner.__dict__
        self._fails, self._errors = call, errors

    def _called(self, call: str) -> None:
        super()._called(call)
        if call == self._fails and self._errors:
            raise self._errors.pop(0)


async def test_a_history_that_makes_no_sense_is_read_a_few_times() -> None:
    world = World()
    key = world.jira.add_issue(status="To Do")
    world.jira.move(key, "In Progress")
    world.jira.change(key, status="AI Ready", status_id="101")
    for _ in range(MOST_DOUBTS + 3):
        await world.look()
    assert world.events() == []
    assert world.jira.calls.count("changelog") == MOST_DOUBTS


async def test_one_issue_that_jira_cannot_show_does_not_stop_the_others() -> None:
    world = World()
    world.ready()
    others = [world.ready(), world.ready()]
    fail_at(world, "changelog", Unavailable("500"))
    assert await world.look() is None
    assert world.events() == others
    await world.look()
    assert len(world.events()) == 3


async def test_three_issues_that_jira_cannot_show_mean_that_jira_is_away() -> None:
    world = World()
    for _ in range(5):
        world.ready()
    fail_at(world, "issue", *(TimedOut("slow") for _ in range(3)))
    assert isinstance(await world.look(), TimedOut)
    await world.look()
    assert len(world.events()) == 5


@pytest.mark.parametrize(
    ("error", "is_said"),
    [
        (RateLimited("429", delay=120), False),
        (Unavailable("503"), False),
        (TimedOut("slow"), False),
        (Unauthorized("Jira refused the login of JIRA_API_TOKEN"), True),
        (Invalid("400: no such status"), True),
        (Forbidden("403"), True),
        (NotFound("404"), True),
    ],
)
async def test_jira_s_refusals_are_said_once_and_healed(
    error: AgentError, *, is_said: bool
) -> None:
    world = World()
    key = world.ready()
    with capture_logs() as lines:
        for _ in range(3):
            world.jira.fail_next = [error]
            assert await world.look() is error
            assert (await world.poller.trouble() is not None) is is_said
        assert await world.look() is None
    assert await world.poller.trouble() is None
    assert world.events() == [key]
    said = [line["event"] for line in lines if "polled" in line["event"]]
    assert said == ["jira cannot be polled", "jira is polled again"]


async def test_a_project_that_jira_does_not_know_is_named_and_hides_no_other() -> None:
    world = World("PROJ", "GONE", "SHOP")
    keys = [world.ready("PROJ"), world.ready("SHOP")]
    assert await world.look() is None
    assert world.events() == keys
    assert "GONE: " in str(await world.poller.trouble())


async def test_a_status_that_jira_does_not_know_is_said() -> None:
    world = World("PROJ", "SHOP")
    world.rules = Rules(status="Robot", projects=world.rules.projects)
    world.poller = world.another()
    assert isinstance(await world.look(), Invalid)
    assert "does not exist" in str(await world.poller.trouble())


async def test_a_log_that_is_away_loses_no_issue() -> None:
    world = World()
    key = world.ready()
    world.log.fail_next = [Temporary("NATS is away", peer="nats")]
    assert isinstance(await world.look(), Temporary)
    await world.look()
    assert world.events() == [key]


async def test_our_own_mistake_ends_nothing() -> None:
    world = World()
    key = world.ready()
    fail_at(world, "issue", ValueError("a bug"))  # type: ignore[arg-type]  # on purpose
    with capture_logs() as lines:
        assert isinstance(await world.look(), Temporary)
    assert [line["event"] for line in lines if line["log_level"] == "error"] == [
        "polling jira failed"
    ]
    await world.look()
    assert world.events() == [key]


async def test_without_the_lease_nothing_is_polled_and_stopping_ends_the_wait() -> None:
    world = World()
    world.ready()
    async with Leases(world.keys, world.clock).held(LEASE):
        loop = asyncio.create_task(world.poller.run(world.stopping))
        for _ in range(20):
            await asyncio.sleep(0)
        world.stopping.set()
        async with asyncio.timeout(5):
            await loop
    assert world.jira.calls == []


async def test_a_replica_that_died_is_replaced_within_30_seconds() -> None:
    world = World()
    key = world.ready()
    await Leases(world.keys, world.clock).acquire(LEASE, "dead", ttl=LEASE_SECONDS)
    world.log = heard = HeardLog(world.clock)
    loop = asyncio.create_task(world.another().run(world.stopping))
    world.clock.advance(30 - RETRY_SECONDS)
    async with asyncio.timeout(5):
        await heard.created.wait()
        world.stopping.set()
        await loop
    assert world.events() == [key]


class HeardLog(MemoryLog):
    """Tells when something was created."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.created = asyncio.Event()

    async def create(self, new: NewEvent) -> Created:
        self.created.set()
        return await super().create(new)


async def test_when_stopping_no_other_issue_is_begun() -> None:
    world = World()
    world.ready()
    world.stopping.set()
    await world.look()
    assert world.jira.calls == ["ready_issues"]
