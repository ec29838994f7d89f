"""SIGKILL of publisher, coder and Jobs while commands and issues are served: nothing twice.

Several tasks are held at once, each at another of its requests, and one SIGKILL ends them all:
so every request of a task is the last one before a death, at the price of a few restarts.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from libs.common import subjects
from libs.common.events.envelope import AnyEvent, NewEvent
from libs.common.events.tasks import (
    AskedIn,
    ChangesProposed,
    DiffRefs,
    PushTarget,
    Requester,
    TaskRequested,
)
from libs.common.events.tasks import Issue as IssueRef
from libs.common.launching import state
from tests.e2e.coding import (
    BUDGETS,
    answered,
    comments_of_agent,
    commits_of,
    emoji_on,
    open_draft,
    project_in,
    replies_to,
    said_by_agent,
)
from tests.e2e.system import System, running_system
from tests.samples import review_request
from tests.simulators.gitlab import MergeRequest, Note, Project
from tests.simulators.gitlab.faults import Fault, Faults
from tests.simulators.jira import Issue

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
]
AT_ONCE = 4
"""Tasks held at a time: not more than the calls of GitLab that a service has under way."""
MOST_REQUESTS = 40


@dataclass
class Task:
    """One task in a project of its own, and the fault that holds one of its requests."""

    request: TaskRequested
    project: Project
    about: MergeRequest | Issue
    fault: Fault
    note: Note | None = None


async def append(system: System, subject: str, event: AnyEvent) -> None:
    await system.log.create(
        NewEvent(
            subject=subject, event=event, message_id=subject, source="test", time=datetime.now(UTC)
        )
    )


def requests_of(project: Project) -> str:
    """A regex over the paths that a task of this project asks GitLab for."""
    return rf"/projects/{project.id}(/|$)|/{re.escape(project.path_with_namespace)}\.git/"


def held(faults: Faults, path: str, number: int) -> Fault:
    """The request of that number is carried out and never answered."""
    return faults.add(path=path, skip=number - 1, commit=True, hang=True)


def patch_for(project: Project, base: str) -> bytes:
    """A new line in NOTES.md, as the runner would hand it in."""
    repository = project.repository
    files = {"NOTES.md": "# Notes\n\n- one more\n"}
    changed = repository.commit(
        "work", files, parent=base, message="x", author=("a", "a@example.com"), when=1
    )
    repository.set_ref("refs/heads/work", None)
    options = ("--binary", "--full-index", "--src-prefix=a/", "--dst-prefix=b/")
    return repository.git("diff", *options, base, changed)


def _asked(project: Project, base: str, **changes: object) -> TaskRequested:
    branch = str(changes["source_branch"])
    target = PushTarget(
        project_id=project.id,
        clone_url=project.http_url,
        branch=branch,
        new_branch=branch != "topic",
        never_to=("main",),
    )
    known = {
        "kind": "coding",
        "project_id": project.id,
        "clone_url": project.http_url,
        "expires_at": datetime.now(UTC) + timedelta(hours=1),
        "instruction": "add a line",
        "push": target,
    }
    return review_request(base, **(known | changes))


async def from_note(system: System, faults: Faults, number: int) -> Task:
    mr = await open_draft(system)
    note = await system.note(mr, "add a line")
    version = mr.versions[-1]
    request = _asked(
        mr.project,
        mr.head_sha,
        task_id=f"coding-{mr.project.id}-{mr.iid}-n{note.id}",
        scope=str(mr.project.id),
        ref=str(mr.iid),
        iid=mr.iid,
        web_url=mr.web_url,
        source_branch="topic",
        diff_refs=DiffRefs(
            base_sha=version.base_sha, start_sha=version.start_sha, head_sha=mr.head_sha
        ),
        requester=Requester(name=note.author.username, user_id=note.author.id, access_level=30),
        asked_in=AskedIn(note_id=note.id, discussion_id=note.discussion_id),
    )
    fault = held(faults, requests_of(mr.project), number)
    return Task(request, mr.project, mr, fault, note)


async def from_issue(system: System, faults: Faults, number: int) -> Task:
    """Held at a request to the server that `faults` belong to."""
    issue, project = system.tracker.issue("Add a line"), project_in(system)
    system.tracker.move(issue)
    base = project.repository.branch("main") or ""
    scope, _, ref = issue.key.rpartition("-")
    request = _asked(
        project,
        base,
        task_id=f"coding-{scope}-{ref}-10",
        scope=scope,
        ref=ref,
        iid=0,
        web_url=project.web_url,
        source_branch=f"agent/{issue.key}",
        diff_refs=DiffRefs(base_sha=base, start_sha=base, head_sha=base),
        title=issue.summary,
        requester=Requester(name="Alice Ash", account_id="712020:alice", rule="moved the issue"),
        issue=IssueRef(key=issue.key, web_url=f"{system.tracker.jira.url}/browse/{issue.key}"),
    )
    in_gitlab = faults is system.gitlab.faults
    path = requests_of(project) if in_gitlab else rf"/issue/{issue.key}(/|$)"
    return Task(request, project, issue, held(faults, path, number))


def is_held(task: Task) -> bool:
    return task.fault.times == 0


def is_started(task: Task) -> bool:
    """Whether the effects of the start are there."""
    if task.note is not None:
        return "eyes" in emoji_on(task.note)
    assert isinstance(task.about, Issue)
    return task.about.status.name == "In Progress"


async def append_result(system: System, task: Task) -> None:
    await system.until(lambda: is_started(task), "the start to be shown")
    request = task.request
    end = ChangesProposed(
        task_id=request.task_id,
        head_sha=request.head_sha,
        subject="Add a line",
        summary="Added a line.",
        files=("NOTES.md",),
        patch=patch_for(task.project, request.head_sha),
    )
    await append(system, subjects.task_result(request.scope, request.ref, request.task_id), end)


async def killed_once(system: System, batch: list[Task]) -> None:
    """Serve the batch with one death in between: of each task at the request that is held."""
    for task in batch:
        request = task.request
        subject = subjects.task_requested(request.scope, request.ref, request.task_id)
        await append(system, subject, request)
    for task in batch:
        await system.until(lambda t=task: is_held(t) or is_started(t), "the start")
    waiting = [task for task in batch if is_held(task)]
    for task in batch:
        if task not in waiting:
            await append_result(system, task)

    async def held_or_done(task: Task) -> bool:
        return is_held(task) or bool(await system.published(task.about))

    for task in batch:
        await system.until(lambda t=task: held_or_done(t), "a request", seconds=60)
    system.kill("publisher")
    for task in waiting:
        await append_result(system, task)
    for task in batch:
        await system.until(lambda t=task: system.published(t.about), "the end", seconds=60)


async def killed_at_each_request(
    system: System, make: Callable[[int], Awaitable[Task]]
) -> list[Task]:
    """Tasks of which the publisher died at request 1, 2, 3 …, up to one that it never made."""
    tasks: list[Task] = []
    for first in range(1, MOST_REQUESTS, AT_ONCE):
        batch = [await make(number) for number in range(first, first + AT_ONCE)]
        await killed_once(system, batch)
        tasks += batch
        if not all(map(is_held, batch)):
            return list(filter(is_held, tasks))
    raise AssertionError("the publisher makes ever more requests")


def publisher_only(folder: Path) -> contextlib.AbstractAsyncContextManager[System]:
    settings = {"LEASE_SECONDS": "2"}
    return running_system(folder, services=("publisher",), jira=True, settings=settings)


async def test_publisher_killed_at_each_request_leaves_one_commit_one_reply_and_a_check_mark(
    tmp_path,
):
    async with publisher_only(tmp_path) as system:
        faults = system.gitlab.faults
        tasks = await killed_at_each_request(system, lambda n: from_note(system, faults, n))

        assert len(tasks) >= 12
        for number, task in enumerate(tasks, 1):
            assert task.note is not None
            seen = (
                len(commits_of(task.project)),
                len(replies_to(system, task.about, task.note)),
                len(said_by_agent(system, task.about)),
                emoji_on(task.note),
            )
            assert (1, 1, 1, ["white_check_mark"]) == seen, f"killed at request {number}"
            asked = (pushes(system, task), system.calls("POST", replies_path(task)))
            assert (1, 1) == asked, f"killed at request {number}"


@pytest.mark.parametrize("at", ["gitlab", "jira"])
async def test_publisher_killed_at_each_request_leaves_one_draft_one_comment_and_both_moves(
    tmp_path, at
):
    async with publisher_only(tmp_path) as system:
        faults = system.gitlab.faults if at == "gitlab" else system.tracker.jira.faults
        tasks = await killed_at_each_request(system, lambda n: from_issue(system, faults, n))

        assert len(tasks) >= 6
        for number, task in enumerate(tasks, 1):
            assert isinstance(task.about, Issue)
            seen = (
                len(commits_of(task.project, f"agent/{task.about.key}")),
                [mr.draft for mr in task.project.merge_requests.values()],
                len(comments_of_agent(system, task.about)),
                moves_of(system, task.about),
            )
            expected = (1, [True], 1, ["In Progress", "In Review"])
            assert expected == seen, f"killed at request {number}"
            asked = (
                pushes(system, task),
                system.calls("POST", rf"/projects/{task.project.id}/merge_requests$"),
                system.tracker.calls("POST", rf"/issue/{task.about.key}/comment$"),
                system.tracker.calls("POST", rf"/issue/{task.about.key}/transitions$"),
            )
            assert (1, 1, 1, 2) == asked, f"killed at request {number}"


def pushes(system: System, task: Task) -> int:
    """From the request log, as the other counts: not even tried a second time."""
    path = re.escape(task.project.path_with_namespace)
    return system.calls("POST", rf"/{path}\.git/git-receive-pack$")


def replies_path(task: Task) -> str:
    assert isinstance(task.about, MergeRequest)
    return rf"/projects/{task.project.id}/merge_requests/{task.about.iid}/discussions/[^/]+/notes$"


def moves_of(system: System, issue: Issue) -> list[str]:
    return [
        item["toString"]
        for change in issue.changes
        for item in change.items
        if change.author is system.tracker.jira.bot and item["fieldId"] == "status"
    ]


# --- coder and Jobs -----------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    folder = tmp_path_factory.mktemp("killed")
    async with running_system(folder, settings=BUDGETS) as started:
        yield started


async def coder_killed_once(system: System, numbers: range) -> list[tuple[MergeRequest, Note]]:
    """Commands whose coder died at these requests; fewer than asked for when it makes no more."""
    mrs = [await open_draft(system) for _ in numbers]
    for mr in mrs:
        opened = subjects.mr_opened(mr.project.id, mr.iid, mr.head_sha)
        await system.until(lambda s=opened: f'"subject": "{s}' in system.logs(), "the reviewer")
    faults = [
        system.gitlab.faults.add(
            method="GET", path=rf"/projects/{mr.project.id}(/|$)", skip=number - 1, hang=True
        )
        for number, mr in zip(numbers, mrs, strict=True)
    ]
    notes = [await system.note(mr, "/copilot add a line") for mr in mrs]
    died = []
    for mr, note, fault in zip(mrs, notes, faults, strict=True):

        async def held_or_done(mr=mr, fault=fault) -> bool:
            return fault.times == 0 or bool(await system.requested(mr))

        await system.until(held_or_done, "a request of the coder", seconds=60)
        if not await system.requested(mr):
            died.append((mr, note))
    system.kill("coder")
    # What came behind the coder's requests were the publisher's.
    system.gitlab.faults.clear()
    return died


async def test_coder_killed_at_each_request_asks_for_one_commit(system):
    died: list[tuple[MergeRequest, Note]] = []
    for first in range(1, MOST_REQUESTS, AT_ONCE):
        batch = await coder_killed_once(system, range(first, first + AT_ONCE))
        died += batch
        if len(batch) < AT_ONCE:
            break

    assert len(died) >= 6
    for number, (mr, note) in enumerate(died, 1):
        await answered(system, mr, note)
        seen = (len(await system.requested(mr)), len(commits_of(mr.project)))
        assert (1, 1) == seen, f"killed at request {number}"


async def test_jobs_killed_while_they_run_are_started_again_and_end_in_one_commit_each(system):
    system.model.mode, before = "sim-slow", len(system.model.requests)
    mrs = [await open_draft(system) for _ in (state.SUPERVISOR, state.STEPS)]
    notes = [await system.note(mr, "/copilot add a line") for mr in mrs]
    await system.until(lambda: len(system.model.requests) >= before + 2, "the sessions to run")

    system.model.mode = "sim-reviewer"
    for mr, who in zip(mrs, (state.SUPERVISOR, state.STEPS), strict=True):
        [request] = await system.requested(mr)
        os.kill(process_of(system, request.task_id, who).pid, signal.SIGKILL)

    for mr, note in zip(mrs, notes, strict=True):
        await answered(system, mr, note)
        assert (1, 1) == (len(commits_of(mr.project)), len(await system.requested(mr)))


def process_of(system: System, task_id: str, file: str) -> state.Running:
    """The supervisor, or the leader of the step that runs."""
    for folder in (system.folder / "tasks").glob("gca-*"):
        claim = state.read(folder / state.JOB, state.JobFile)
        if claim is None or claim.task_id != task_id:
            continue
        if file == state.SUPERVISOR:
            found = state.read(folder / file, state.Running)
        else:
            found = (state.read(folder / file, list[state.Running]) or [None])[-1]
        assert found is not None
        return found
    raise AssertionError(f"no Job of {task_id}")
