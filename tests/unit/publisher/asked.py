"""Tasks that people asked for, as the coder requests them, for the publisher's tests."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from libs.common.events.tasks import (
    AskedIn,
    ChangesProposed,
    DiffRefs,
    Issue,
    PushTarget,
    Requester,
    TaskRequested,
)
from libs.common.gitlab.models import Award
from services.publisher.handlers import on_event
from services.publisher.ports import Ports
from tests.fakes.gitlab import BASE_SHA
from tests.samples import review_request
from tests.unit.publisher.world import HEAD, World

PATCH = b"""diff --git a/a.py b/a.py
index 1111111111111111111111111111111111111111..2222222222222222222222222222222222222222 100644
--- a/a.py
+++ b/a.py
@@ -1,1 +1,1 @@
-old = 1
+new = 1
"""
REQUESTER = Requester(name="alice", user_id=8, access_level=30, rule="code commands need Developer")
IN_JIRA = Requester(name="Alice Ash", account_id="712020:alice", rule="moved the issue")


def from_note(world: World, kind: Any = "coding", **changes: Any) -> TaskRequested:
    """A task asked for in a note that Alice writes now."""
    thread = world.gitlab.comment(world.mr, "/copilot do it")
    note_id = thread.notes[0].id
    known: dict[str, Any] = {
        "task_id": f"{kind}-42-7-n{note_id}",
        "kind": kind,
        "expires_at": world.clock.now() + timedelta(hours=6),
        "instruction": "do it",
        "requester": REQUESTER,
        "asked_in": AskedIn(note_id=note_id, discussion_id=thread.id),
    }
    if kind == "coding":
        known["push"] = PushTarget(
            project_id=42,
            clone_url="https://gitlab.test/group/project.git",
            branch="topic",
            never_to=("main",),
        )
    return review_request(HEAD, **(known | changes))


def from_issue(world: World, **changes: Any) -> TaskRequested:
    """A task asked for by moving the world's issue."""
    number = world.issue.rpartition("-")[2]
    known: dict[str, Any] = {
        "task_id": f"coding-PROJ-{number}-10",
        "kind": "coding",
        "scope": "PROJ",
        "ref": number,
        "iid": 0,
        "web_url": "https://gitlab.test/group/project",
        "source_branch": f"agent/{world.issue}",
        "diff_refs": DiffRefs(base_sha=BASE_SHA, start_sha=BASE_SHA, head_sha=BASE_SHA),
        "title": "Add tax",
        "expires_at": world.clock.now() + timedelta(hours=6),
        "instruction": "Add tax",
        "requester": IN_JIRA,
        "issue": Issue(
            key=world.issue,
            web_url=f"https://jira.test/browse/{world.issue}",
            status="AI Ready",
        ),
        "push": PushTarget(
            project_id=42,
            clone_url="https://gitlab.test/group/project.git",
            branch=f"agent/{world.issue}",
            new_branch=True,
            never_to=("main",),
        ),
    }
    return review_request(HEAD, **(known | changes))


def proposed(request: TaskRequested, **changes: Any) -> ChangesProposed:
    known: dict[str, Any] = {
        "subject": "Rename old",
        "summary": "The value has a new name.",
        "files": ("a.py",),
        "patch": PATCH,
    }
    return ChangesProposed(task_id=request.task_id, head_sha=request.head_sha, **(known | changes))


async def whole(world: World, request: TaskRequested, ports: Ports) -> None:
    """Start and end of a change, handled by one process."""
    await on_event(await world.started(request), ports=ports)
    await on_event(await world.ended(proposed(request), request), ports=ports)


def emoji(world: World, request: TaskRequested) -> list[str]:
    """What the bot has on the note that asked."""
    assert request.asked_in is not None
    given: list[Award] = world.gitlab.awards_on.get(request.asked_in.note_id, [])
    return sorted(award.name for award in given if award.user_id == world.gitlab.me.id)


def replies(world: World, request: TaskRequested) -> list[str]:
    """What the bot said in the thread that asked."""
    assert request.asked_in is not None
    thread = request.asked_in.discussion_id
    return [
        note.body
        for discussion in world.mr.discussions
        for note in discussion.notes
        if discussion.id == thread and note.author_id == world.gitlab.me.id
    ]
