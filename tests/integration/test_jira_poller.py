"""The poller against the simulated Jira over HTTP and a real nats-server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from libs.common.clock import SystemClock
from libs.common.errors import AgentError
from libs.common.events.envelope import NewEvent
from libs.common.events.facts import JiraReady
from libs.common.events.log import Created
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.leases import Leases
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import LOCKS
from libs.common.jira.client import JiraClient
from libs.common.jira.errors import Invalid, RateLimited, Unauthorized, Unavailable
from libs.common.jira.server import JiraServer
from services.ingest.jira_issues import Rules
from services.ingest.jira_map import JiraProject
from services.ingest.jira_poller import LEASE, JiraPoller, Ports
from tests.simulators.jira import SimulatedJira, running_jira

pytestmark = pytest.mark.real
MAPPED = JiraProject(key="PROJ", gitlab_project_id=42, target_branch="main")


class ToldLog:
    """The real log; every record that was asked for is also in `told`."""

    def __init__(self, log: JetStreamLog) -> None:
        self.log = log
        self.told: asyncio.Queue[Created] = asyncio.Queue()

    async def create(self, new: NewEvent) -> Created:
        created = await self.log.create(new)
        await self.told.put(created)
        return created

    async def next(self) -> Created:
        async with asyncio.timeout(20):
            return await self.told.get()


class World:
    def __init__(self, jira: SimulatedJira, client: JiraClient, connection: Connection) -> None:
        self.jira, self.client = jira, client
        self.project = jira.create_project("PROJ")
        self.log = ToldLog(JetStreamLog(connection))
        self.keys = JetStreamKeyValue(connection, LOCKS)
        self.stopping = asyncio.Event()

    def poller(self, *allowed_users: str, interval: float = 0.02, **mapped: Any) -> JiraPoller:
        leases = Leases(self.keys, SystemClock())
        ports = Ports(jira=self.client, log=self.log, leases=leases, clock=SystemClock())
        projects = mapped or {"PROJ": MAPPED}
        rules = Rules(status="AI Ready", projects=projects, allowed_users=allowed_users)
        return JiraPoller(ports, rules, interval)

    @asynccontextmanager
    async def running(self, poller: JiraPoller) -> AsyncIterator[asyncio.Event]:
        stopping = asyncio.Event()
        loop = asyncio.create_task(poller.run(stopping))
        try:
            yield stopping
        finally:
            stopping.set()
            async with asyncio.timeout(10):
                await loop

    async def look(self, poller: JiraPoller) -> AgentError | None:
        async with Leases(self.keys, SystemClock()).held(LEASE, wait=5) as lease:
            return await poller.cycle(lease, self.stopping)

    async def events(self) -> list[JiraReady]:
        found = [record.event for record in await self.log.log.history("jira.>")]
        assert all(isinstance(event, JiraReady) for event in found)
        return found  # type: ignore[return-value]  # just seen


def server_of(jira: SimulatedJira, **changes: str) -> JiraServer:
    login = (
        {"bearer_token": jira.bearer_token}
        if jira.settings.data_center
        else {"email": jira.email, "api_token": jira.api_token}
    )
    return JiraServer(**({"url": jira.url} | login | changes))  # type: ignore[arg-type]  # texts


@pytest.fixture(params=["cloud", "data-center"])
async def both(request: Any, connection: Connection) -> AsyncIterator[World]:
    async for world in worlds(connection, data_center=request.param == "data-center"):
        yield world


@pytest.fixture
async def cloud(connection: Connection) -> AsyncIterator[World]:
    async for world in worlds(connection, data_center=False):
        yield world


async def worlds(connection: Connection, *, data_center: bool) -> AsyncIterator[World]:
    async with (
        running_jira(data_center=data_center) as jira,
        JiraClient(server_of(jira), pauses=()) as client,
    ):
        yield World(jira, client, connection)


async def test_an_issue_that_a_person_moves_becomes_one_event(both: World) -> None:
    issue = both.jira.create_issue(both.project, "Greet people", description="By name.")
    async with both.running(both.poller()):
        change = both.jira.move(issue, "AI Ready")
        created = await both.log.next()
    assert created.first
    assert created.record.subject == f"jira.ready.PROJ.1.{change}"
    assert created.record.message_id == f"jira.ready-PROJ-1-{change}"
    [event] = await both.events()
    alice = both.jira.alice
    assert event.account_id == (alice.name if both.jira.settings.data_center else alice.account_id)
    assert (event.issue_key, event.summary, event.description) == (
        "PROJ-1",
        "Greet people",
        "By name.",
    )
    assert (event.project_id, event.target_branch, event.restricted) == (42, "main", False)
    assert event.web_url == f"{both.jira.url}/browse/PROJ-1"


async def test_an_issue_that_comes_back_becomes_another_event(both: World) -> None:
    issue = both.jira.create_issue(both.project, status="AI Ready")
    poller = both.poller()
    await both.look(poller)
    for status in ("In Review", "AI Ready"):
        both.jira.advance(1)
        both.jira.move(issue, status)
        await both.look(poller)
    found = await both.events()
    assert len(found) == 2
    assert found[0].change_id == "created"


async def test_two_replicas_that_start_again_and_again_make_one_event(cloud: World) -> None:
    cloud.jira.create_issue(cloud.project, status="AI Ready")
    for _ in range(3):
        async with cloud.running(cloud.poller()), cloud.running(cloud.poller()):
            await cloud.log.next()
    assert len(await cloud.events()) == 1


async def test_another_replica_takes_over_when_one_stops(cloud: World) -> None:
    first, second = cloud.poller(), cloud.poller()
    async with cloud.running(first) as stop_first:
        cloud.jira.create_issue(cloud.project, status="AI Ready")
        await cloud.log.next()
        async with cloud.running(second):
            stop_first.set()
            cloud.jira.create_issue(cloud.project, status="AI Ready")
            # The second one has not seen the first issue, and the log knows it.
            assert [(await cloud.log.next()).first for _ in range(2)] == [False, True]
    assert len(await cloud.events()) == 2


async def test_a_search_that_lags_behind_starts_nothing_that_was_taken_back(cloud: World) -> None:
    issue = cloud.jira.create_issue(cloud.project, status="AI Ready")
    cloud.jira.advance(60)
    cloud.jira.move(issue, "Done")
    cloud.jira.settings.search_lag = 30
    assert await cloud.look(cloud.poller()) is None
    assert "/rest/api/3/issue/PROJ-1" in [entry.path for entry in cloud.jira.requests]
    assert await cloud.events() == []


async def test_a_search_that_does_not_show_the_issue_yet_only_delays_it(cloud: World) -> None:
    cloud.jira.settings.search_lag = 30
    poller = cloud.poller()
    cloud.jira.create_issue(cloud.project, status="AI Ready")
    await cloud.look(poller)
    assert await cloud.events() == []
    cloud.jira.advance(60)
    await cloud.look(poller)
    assert len(await cloud.events()) == 1


async def test_an_issue_that_is_deleted_between_search_and_look_is_left(cloud: World) -> None:
    cloud.jira.create_issue(cloud.project, status="AI Ready")
    cloud.jira.faults.add(path="/issue/PROJ-1$", status=404, body={"errorMessages": ["gone"]})
    cloud.jira.create_issue(cloud.project, status="AI Ready")
    assert await cloud.look(cloud.poller()) is None
    assert [event.issue_key for event in await cloud.events()] == ["PROJ-2"]


async def test_sr_11_only_an_allowed_user_s_move_counts(both: World) -> None:
    eve = both.jira.add_user("eve")
    by_eve = both.jira.create_issue(both.project)
    both.jira.move(by_eve, "AI Ready", eve)
    by_alice = both.jira.create_issue(both.project, creator=eve)
    both.jira.move(by_alice, "AI Ready")
    by_nobody = both.jira.create_issue(both.project)
    both.jira.move_by_nobody(by_nobody, "AI Ready")
    with capture_logs() as lines:
        poller = both.poller(both.jira.alice.email)
        for _ in range(3):
            await both.look(poller)
    assert [event.issue_key for event in await both.events()] == [by_alice.key]
    skipped = [line["issue_key"] for line in lines if line["event"] == "issue skipped"]
    assert skipped == [by_eve.key, by_nobody.key]


async def test_sr_10_a_hidden_issue_is_marked(both: World) -> None:
    both.jira.create_issue(both.project, status="AI Ready", security="Staff only")
    await both.look(both.poller())
    assert [event.restricted for event in await both.events()] == [True]


async def test_a_mapped_project_that_is_gone_hides_no_other(cloud: World) -> None:
    cloud.jira.create_issue(cloud.project, status="AI Ready")
    gone = JiraProject(key="GONE", gitlab_project_id=7)
    poller = cloud.poller(PROJ=MAPPED, GONE=gone)
    assert await cloud.look(poller) is None
    assert len(await cloud.events()) == 1
    assert str(await poller.trouble()).startswith("GONE: Jira answered 400")


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind"),
    [
        (400, {}, {"errorMessages": ["a value does not exist"]}, Invalid),
        (401, {}, "", Unauthorized),
        (429, {"Retry-After": "7"}, {"errorMessages": ["Rate limit exceeded."]}, RateLimited),
        (500, {}, "<html>", Unavailable),
        (503, {"Retry-After": "20"}, "", Unavailable),
        (200, {}, "<html>login</html>", Unavailable),
        (200, {}, {"issues": [{"id": "1"}]}, Unavailable),
    ],
)
async def test_whatever_jira_answers_the_next_look_finds_the_issue(
    cloud: World, status: int, headers: dict[str, str], body: Any, kind: type[AgentError]
) -> None:
    cloud.jira.create_issue(cloud.project, status="AI Ready")
    cloud.jira.faults.add(path="/search/jql", status=status, headers=headers, body=body)
    poller = cloud.poller()
    error = await cloud.look(poller)
    assert isinstance(error, kind)
    if isinstance(error, RateLimited):
        assert error.delay == 7
    await cloud.look(poller)
    assert len(await cloud.events()) == 1


async def test_sr_37_a_wrong_login_is_said_once_without_the_token(cloud: World) -> None:
    with capture_logs() as lines:
        async with JiraClient(server_of(cloud.jira, api_token="canary"), pauses=()) as client:
            cloud.client = client
            poller = cloud.poller()
            for _ in range(3):
                assert isinstance(await cloud.look(poller), Unauthorized)
    trouble = await poller.trouble()
    assert trouble is not None
    assert "JIRA_API_TOKEN" in trouble
    assert [line["event"] for line in lines] == ["jira cannot be polled"]
    assert "canary" not in f"{trouble}{lines}"
