"""Descriptions and comments of 900 KB: logged, cut where they become events, and worked on.

Simulated GitLab and Jira, the real doors and the real log; from hook and poller to the task.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from libs.common.allowed import allowed
from libs.common.clock import SystemClock
from libs.common.events.envelope import Recorded
from libs.common.events.tasks import TaskRequested
from libs.common.gitlab.agent import Agent
from libs.common.jetstream.connection import Connection
from libs.common.jira.client import JiraClient
from libs.common.requesting import LONGEST_DESCRIPTION, LONGEST_INSTRUCTION, shortened
from services.coder.handlers import on_event as coder
from services.ingest.authentication import Keys
from services.ingest.intake import Intake
from services.ingest.jira_map import JiraProject
from services.ingest.webhook import Webhook
from services.reviewer.handlers import on_event as reviewer
from tests.integration.polled_world import World, polled_world
from tests.integration.test_jira_poller import World as JiraWorld
from tests.integration.test_jira_poller import server_of
from tests.simulators.gitlab.state import MergeRequest, Project
from tests.simulators.jira import running_jira
from tests.unit.coder.world import Stores
from tests.unit.coder.world import World as Coder
from tests.unit.reviewer.world import World as Reviewer

pytestmark = [
    pytest.mark.real,
    # The simulated GitLab sends bodies over 1 MB in one piece, as the real one does.
    pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning"),
]
SECRET = "hook-secret-canary"
HUGE = "Größer als nötig, 🦀 und länger. " * 24_000
KEPT = 64 * 1024
WAYS = pytest.mark.parametrize("way", ["hook", "poll"])


def test_what_is_huge_here_has_900_kb_in_events_and_hooks():
    assert 900_000 < len(HUGE.encode()) < 1_000_000


@pytest.fixture
async def world(connection: Connection, tmp_path: Path) -> AsyncIterator[World]:
    async with polled_world(connection, tmp_path) as made:
        yield made


@asynccontextmanager
async def seen(world: World, way: str) -> AsyncIterator[None]:
    """What happens in GitLab inside reaches the log that way."""
    if way == "poll":
        assert await world.look() is None
        yield
        assert await world.look() is None
        return
    webhook = Webhook(
        keys=Keys(secrets=(SECRET,)),
        allowed=allowed(()),
        intake=Intake(world.log, patience=5),
        clock=SystemClock(),
        agent=world.ports.agent,
    )
    async with TestServer(webhook.application()) as server:
        world.gitlab.set_webhook(url=str(server.make_url("/webhook")), secret=SECRET)
        yield
        await world.gitlab.settle()
        assert {delivery.status for delivery in world.gitlab.deliveries} == {202}


def project_of(world: World) -> Project:
    project = world.gitlab.create_project("shop/app")
    world.gitlab.commit(project, branch="topic", files={"a.py": "x = 1\n"})
    return project


async def opened(world: World, project: Project, description: str = "") -> MergeRequest:
    return await world.gitlab.open_merge_request(
        project, source_branch="topic", description=description
    )


async def asked_for(world: World, handler: Any, ports: Any, record: Recorded) -> TaskRequested:
    """The task that a service makes of the event, with the real door to GitLab."""
    agent = Agent(world.ports.gitlab, world.gitlab.bot.username)  # type: ignore[arg-type]  # the client has both
    policy = dataclasses.replace(ports.policy, gitlab_url=world.gitlab.url)
    given = {"gitlab": world.ports.gitlab, "agent": agent, "policy": policy}
    await handler(record, ports=dataclasses.replace(ports, **given))
    [request] = await world.log.history("task.requested.>")
    assert isinstance(request.event, TaskRequested)
    return request.event


def coders(world: World) -> Any:
    return Coder(stores=Stores(clock=SystemClock(), log=world.log)).ports()


@WAYS
async def test_a_merge_request_with_a_description_of_900_kb_gets_its_review(world: World, way: str):
    project = project_of(world)
    async with seen(world, way):
        await opened(world, project, HUGE)

    [record] = await world.log.history("mr.>")
    ports = Reviewer(world.log, SystemClock()).ports()
    request = await asked_for(world, reviewer, ports, record)

    assert shortened(HUGE, LONGEST_DESCRIPTION) == request.description
    assert 3 == request.max_launches


@WAYS
async def test_a_command_of_900_kb_is_carried_out_as_far_as_it_is_kept(world: World, way: str):
    project = project_of(world)
    dev = world.gitlab.add_user("dev", project=project, access_level=30)
    merge_request = await opened(world, project)
    async with seen(world, way):
        await world.gitlab.comment(merge_request, f"/copilot ask why? {HUGE}", as_user=dev)

    [record] = await world.log.history("note.>")
    request = await asked_for(world, coder, coders(world), record)

    assert KEPT == len(record.event.text)
    assert "ask" == request.kind
    assert shortened(f"why? {HUGE}".strip(), LONGEST_INSTRUCTION) == request.instruction


@pytest.mark.parametrize("data_center", [False, True], ids=["cloud", "data center"])
async def test_an_issue_with_a_description_of_900_kb_gets_its_task(
    world: World, connection: Connection, *, data_center: bool
):
    project = world.gitlab.create_project("shop/app", files={"a.py": "x = 1\n"})
    mapped = JiraProject(key="PROJ", gitlab_project_id=project.id, target_branch="main")
    async with (
        running_jira(data_center=data_center) as jira,
        JiraClient(server_of(jira), pauses=()) as client,
    ):
        asked = JiraWorld(jira, client, connection)
        jira.create_issue(asked.project, "Greet", description=HUGE, status="AI Ready")
        assert await asked.look(asked.poller(PROJ=mapped)) is None

    [record] = await world.log.history("jira.>")
    request = await asked_for(world, coder, coders(world), record)

    assert KEPT >= len(record.event.description) > KEPT - 100
    assert LONGEST_INSTRUCTION == len(request.instruction)
    assert request.instruction.startswith("Greet\n\nGrößer als nötig, 🦀 ")
    assert 3 == request.max_launches
