"""The publisher over both real doors and real git, against the simulated GitLab and Jira.

What was written is counted in the simulators: one commit, merge request and comment, whatever
process dies in between; and how many calls that took.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from libs.common import subjects
from libs.common.events.envelope import NewEvent
from libs.common.events.tasks import AskedIn, DiffRefs, Issue, PushTarget, Requester
from libs.common.git.commit import Signature
from libs.common.gitlab.client import GitLabClient
from libs.common.gitlab.server import Server
from libs.common.jira.client import JiraClient
from libs.common.jira.server import JiraServer
from libs.common.reviewed import Reviewed
from services.publisher.firewall import Policy
from services.publisher.handlers import on_event
from services.publisher.ports import Ports
from services.publisher.repository import GitRepository
from services.publisher.rules import Rules
from tests.fakes.clock import FakeClock
from tests.fakes.kv import MemoryKeyValue
from tests.fakes.log import MemoryLog
from tests.samples import review_request
from tests.simulators.gitlab import running_gitlab
from tests.simulators.jira import running_jira
from tests.unit.publisher.asked import proposed
from tests.unit.publisher.repository import MemoryArtifacts
from tests.unit.publisher.world import Fragile, Killed, MemoryLeases

pytestmark = pytest.mark.real

FILES = {"a.py": "old = 1\n", ".gitlab-ci.yml": "include:\n  - local: ci/build.yml\n"}


class KillAfter:
    """The process dies right after the one call of that name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def before(self, name: str) -> None:
        pass

    def after(self, name: str) -> None:
        if name == self._name:
            raise Killed


class Doors:
    """Simulators, clients and a log that outlive any number of publisher processes."""

    def __init__(self, gitlab, jira, clients, folder) -> None:
        self.gitlab, self.jira = gitlab, jira
        self.project = gitlab.create_project("group/project", files=FILES)
        self.base = self.project.repository.branch("main")
        self.head = gitlab.commit(self.project, branch="topic", files={"b.py": "b = 1\n"})
        self.issue = jira.create_issue(jira.create_project("PROJ"), "Add tax", status="AI Ready")
        self.clock = FakeClock(datetime(2026, 3, 1, 12, tzinfo=UTC))
        self.log = MemoryLog(self.clock)
        client, jira_client = clients
        self.whole = Ports(
            log=self.log,
            gitlab=client,
            jira=jira_client,
            repository=GitRepository(gitlab.write_token),
            artifacts=MemoryArtifacts(),
            leases=MemoryLeases(),
            reviewed=Reviewed(MemoryKeyValue(self.clock)),
            clock=self.clock,
            policy=Policy(secrets=(gitlab.write_token,)),
            rules=Rules(
                author=Signature(name="Copilot Agent", email="bot@example.com"),
                clones=folder / "clones",
            ),
        )

    def ports(self, kill_after: str = "") -> Ports:
        fuse = KillAfter(kill_after)
        parts = {
            name: Fragile(getattr(self.whole, name), fuse)
            for name in ("gitlab", "jira", "repository")
        }
        return replace(self.whole, leases=MemoryLeases(), **parts)

    async def note_task(self):
        opened = await self.gitlab.open_merge_request(self.project, source_branch="topic")
        note = await self.gitlab.comment(opened, "/copilot do it")
        changes = {
            "task_id": f"coding-{self.project.id}-{opened.iid}-n{note.id}",
            "scope": str(self.project.id),
            "ref": str(opened.iid),
            "iid": opened.iid,
            "asked_in": AskedIn(note_id=note.id, discussion_id=note.discussion_id),
            "requester": Requester(name="alice", user_id=2, access_level=30, rule="Developer"),
        }
        return opened, note, self._request(self.head, self._push("topic"), changes)

    def issue_task(self):
        changes = {
            "task_id": "coding-PROJ-1-10",
            "scope": "PROJ",
            "ref": "1",
            "iid": 0,
            "title": "Add tax",
            "issue": Issue(key=self.issue.key, web_url=f"{self.jira.url}/browse/PROJ-1"),
            "requester": Requester(name="Alice", account_id="712020:a", rule="moved the issue"),
        }
        return self._request(self.base, self._push("agent/PROJ-1", new_branch=True), changes)

    def _push(self, branch, **more):
        return PushTarget(
            project_id=self.project.id,
            clone_url=self.project.http_url,
            branch=branch,
            never_to=("main",),
            **more,
        )

    def _request(self, head, push, changes):
        return review_request(
            head,
            kind="coding",
            project_id=self.project.id,
            diff_refs=DiffRefs(base_sha=self.base, start_sha=self.base, head_sha=head),
            expires_at=self.clock.now() + timedelta(hours=6),
            push=push,
            **changes,
        )

    async def append(self, verb, request, event):
        subject = subjects.build("task", verb, request.scope, request.ref, request.task_id)
        made = await self.log.create(
            NewEvent(
                subject=subject,
                event=event,
                message_id=subject,
                source="test",
                time=self.clock.now(),
            )
        )
        return made.record

    def patch(self, base):
        blob = self.project.repository.text("rev-parse", f"{base}:a.py")
        return (
            f"diff --git a/a.py b/a.py\nindex {blob}..{'1' * 40} 100644\n"
            "--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-old = 1\n+new = 1\n"
        ).encode()

    async def through(self, request, kill_after="", *, times=2):
        """Both events, each as often as said; the first process dies after the named call."""
        if kill_after:
            with pytest.raises(Killed):
                await self._handled(request, self.ports(kill_after), 1)
        await self._handled(request, self.ports(), times)
        subject = subjects.task_published(request.scope, request.ref, request.task_id)
        return (await self.log.last(subject)).event

    async def _handled(self, request, ports, times):
        end = proposed(request, patch=self.patch(request.head_sha))
        for verb, event in (("requested", request), ("result", end)):
            record = await self.append(verb, request, event)
            for _ in range(times):
                await on_event(record, ports=ports)

    def commits(self, branch, task_id):
        log = self.project.repository.text("log", "--format=%B", branch)
        return log.count(f"Gca-Task: {task_id}\n")


@pytest.fixture
async def doors(tmp_path):
    async with running_gitlab(tmp_path / "gitlab") as gitlab, running_jira() as jira:
        server = Server(url=gitlab.url, token=gitlab.write_token)
        login = JiraServer(url=jira.url, email=jira.email, api_token=jira.api_token)
        async with GitLabClient(server, pauses=(0.0,)) as client, JiraClient(login) as jira_client:
            yield Doors(gitlab, jira, (client, jira_client), tmp_path)


@pytest.mark.parametrize("kill_after", ["", "award", "push", "reply", "remove_award"])
async def test_a_note_becomes_one_commit_one_reply_and_a_check_mark(doors, kill_after):
    merge_request, note, request = await doors.note_task()

    record = await doors.through(request, kill_after)

    assert 1 == doors.commits("topic", request.task_id)
    assert record.commit_sha == doors.project.repository.branch("topic")
    ours = [n for n in doors.gitlab.notes(merge_request) if n.author is doors.gitlab.bot]
    assert [note.discussion_id] == [n.discussion_id for n in ours if not n.system]
    assert ["white_check_mark"] == [award.name for award in note.awards]
    assert [] == doors.gitlab.pipelines(doors.project, sha=record.commit_sha)


@pytest.mark.parametrize(
    "kill_after", ["", "push", "create_merge_request", "add_comment", "transition"]
)
async def test_an_issue_becomes_one_commit_merge_request_and_comment(doors, kill_after):
    request = doors.issue_task()

    record = await doors.through(request, kill_after)

    made = [mr for mr in doors.project.merge_requests.values() if mr.author is doors.gitlab.bot]
    assert 1 == doors.commits("agent/PROJ-1", request.task_id)
    assert [(record.merge_request_iid, True)] == [(mr.iid, mr.draft) for mr in made]
    assert 1 == len(doors.issue.comments)
    assert "In Review" == doors.issue.status.name
    assert "posted" == record.outcome


async def test_a_jira_task_needs_few_calls(doors):
    """Of the publisher: 12 of GitLab and 6 of Jira are the most of all services."""
    await doors.whole.gitlab.current_user()
    await doors.whole.jira.current_user()
    doors.gitlab.log.entries.clear()
    doors.jira.log.entries.clear()

    await doors.through(doors.issue_task(), times=1)

    api = doors.gitlab.log.matching("", "/api/v4/")
    # The project, its CI file and the one it includes, the list, the merge request.
    assert 5 == len(api), [f"{call.method} {call.path}" for call in api]
    assert 6 == len(doors.jira.requests), [f"{c.method} {c.path}" for c in doors.jira.requests]


async def test_sr_37_the_tokens_are_in_no_event_and_no_text(doors):
    _, note, request = await doors.note_task()
    await doors.through(request)

    texts = [str(event) for event in doors.log.events]
    texts += [n.body for mr in doors.project.merge_requests.values() for n in mr.notes]
    texts.append(doors.project.repository.text("log", "--format=%B", "topic"))
    assert [] == [text for text in texts if doors.gitlab.write_token in text]
    assert note.awards
