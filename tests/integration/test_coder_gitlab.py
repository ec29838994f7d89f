"""The coder over the real GitLab door and the simulated GitLab: what the API says decides."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest

from libs.common import subjects
from libs.common.clock import SystemClock
from libs.common.events.envelope import Recorded
from libs.common.events.facts import NoteCommand
from libs.common.events.tasks import Refused, TaskRequested
from libs.common.gitlab.agent import Agent
from libs.common.gitlab.client import GitLabClient
from libs.common.gitlab.server import Server
from services.coder.handlers import on_event
from tests.simulators.gitlab import running_gitlab
from tests.unit.coder.world import Stores, World

pytestmark = pytest.mark.real


class Scene:
    """A merge request of `topic` in the simulated GitLab, and the coder's log."""

    def __init__(self, gitlab: Any, door: GitLabClient, merge_request: Any) -> None:
        self.gitlab, self.door, self.mr = gitlab, door, merge_request
        self.project = merge_request.project
        self.world = World(stores=Stores(clock=SystemClock()))
        self.dev = gitlab.add_user("dev", project=self.project, access_level=30)

    async def note(self, text: str, author: Any = None) -> Recorded:
        who = author or self.dev
        note = await self.gitlab.comment(self.mr, text, as_user=who)
        event = NoteCommand(
            project_id=self.project.id,
            iid=self.mr.iid,
            note_id=note.id,
            author_id=who.id,
            created_at=self.world.clock.now(),
            text=text,
        )
        subject = subjects.note_command(self.project.id, self.mr.iid, note.id)
        return await self.world.append(subject, event)

    async def deliver(self, record: Recorded) -> TaskRequested:
        ports = dataclasses.replace(self.world.ports(), gitlab=self.door, agent=self.agent())
        policy = dataclasses.replace(ports.policy, gitlab_url=self.gitlab.url)
        for _ in range(2):
            await on_event(record, ports=dataclasses.replace(ports, policy=policy))
        return self.world.requests()[-1]

    def agent(self) -> Agent:
        return Agent(self.door, self.gitlab.bot.username)

    async def push(self) -> str:
        content = f"x = {len(self.world.log.events)}\n"
        return await self.gitlab.push(self.project, branch="topic", files={"b.py": content})


@pytest.fixture
async def scene(tmp_path) -> AsyncIterator[Scene]:
    async with running_gitlab(tmp_path / "gitlab") as gitlab:
        project = gitlab.create_project("group/project", files={"a.py": "a = 1\n"})
        gitlab.commit(project, branch="topic", files={"a.py": "a = 2\n"}, message="Change a.py")
        opened = await gitlab.open_merge_request(
            project, source_branch="topic", title="Change a.py", description="Because."
        )
        server = Server(url=gitlab.url, token=gitlab.write_token)
        async with GitLabClient(server, pauses=(0.0, 0.0)) as door:
            yield Scene(gitlab, door, opened)


async def test_two_commands_are_asked_for_and_the_second_again_on_our_own_commit(scene):
    first = await scene.deliver(await scene.note("/copilot first"))
    second = await scene.deliver(await scene.note("/copilot second"))
    assert first.head_sha == second.head_sha
    assert "topic" == first.push.branch
    assert first.push.never_to

    await scene.deliver(await scene.world.proposed(first))
    sha = await scene.push()
    again = await scene.deliver(await scene.world.told(first, sha))

    assert (f"{second.task_id}-p2", sha) == (again.task_id, again.head_sha)
    assert first.diff_refs.base_sha == again.diff_refs.base_sha


async def test_sr_08_a_person_s_push_after_the_note_is_seen_in_the_versions(scene):
    record = await scene.note("/copilot first")
    await scene.push()

    await scene.deliver(record)

    [end] = scene.world.results()
    assert isinstance(end, Refused)
    assert "moved" == end.code


async def test_sr_06_a_stranger_and_a_blocked_developer_are_refused(scene):
    stranger = scene.gitlab.add_user("stranger")
    await scene.deliver(await scene.note("/copilot first", stranger))
    blocked = await scene.note("/copilot second")
    scene.gitlab.block(scene.dev)
    await scene.deliver(blocked)

    assert ["access", "access"] == [end.code for end in scene.world.results()]


async def test_sr_35_a_branch_that_a_pattern_protects_is_refused(scene):
    scene.gitlab.protect_branch(scene.project, "to*")

    await scene.deliver(await scene.note("/copilot first"))

    assert ["protected"] == [end.code for end in scene.world.results()]


async def test_a_branch_that_is_deleted_closes_its_merge_request_and_is_refused(scene):
    record = await scene.note("/copilot first")
    await scene.gitlab.delete_branch(scene.project, branch="topic")

    await scene.deliver(record)

    assert ["closed"] == [end.code for end in scene.world.results()]


@pytest.mark.parametrize(("open_to_us", "code"), [(True, None), (False, "fork")])
async def test_a_fork_is_pushed_to_only_when_it_takes_commits(scene, open_to_us, code):
    fork = scene.gitlab.fork_project(scene.project, "alice/project", bot_access=20)
    scene.gitlab.commit(fork, branch="more", files={"c.py": "c = 1\n"}, message="More")
    scene.mr = await scene.gitlab.open_merge_request(
        scene.project,
        source_project=fork,
        source_branch="more",
        title="More",
        allow_collaboration=open_to_us,
    )
    maintainer = scene.gitlab.add_user("maria", project=scene.project, access_level=40)

    request = await scene.deliver(await scene.note("/copilot first", maintainer))

    assert code == next((end.code for end in scene.world.results()), None)
    assert (fork.id if open_to_us else None) == (request.push and request.push.project_id)


async def test_an_issue_gets_a_branch_beside_the_one_that_is_there(scene):
    await scene.gitlab.push(scene.project, branch="agent/SHOP-12", files={"z.py": "z = 1\n"})

    request = await scene.deliver(await scene.world.ready(project_id=scene.project.id))

    assert "agent/SHOP-12-2" == request.push.branch
    assert "main" == request.target_branch
