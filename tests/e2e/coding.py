"""What people ask the agent for, and what is there of it afterwards: for stories about code.

Merge requests are drafts, which are not reviewed: a story has only the sessions it is about.
"""

from __future__ import annotations

import itertools

from libs.common.events.tasks import TaskPublished
from tests.e2e.system import System
from tests.simulators.gitlab import Discussion, MergeRequest, Note, Project
from tests.simulators.gitlab.repository import Commit
from tests.simulators.jira import Comment, Issue

NUMBERS = itertools.count(1)
PATIENCE = 120.0
"""Seconds for one session on a machine that has much else to do."""
AUTHOR = ("Copilot Agent", "copilot-agent@noreply.gitlab.com")
BEFORE = "def price(total):\n    return total\n"
AFTER = "def price(total):\n    return round(total, 2)\n"
BUDGETS = {f"MAX_TASKS_PER_HOUR{of}": "1000" for of in ("", "_PLACE", "_USER", "_PROJECT")}
"""So that many stories of one system fit into an hour."""


def project_in(system: System, **files: object) -> Project:
    return system.gitlab.create_project(
        f"coding/app{next(NUMBERS)}", files={"app.py": BEFORE, "NOTES.md": "# Notes\n"} | files
    )


async def open_draft(
    system: System, project: Project | None = None, **more: object
) -> MergeRequest:
    """A draft that changes `app.py`, from the branch `topic`."""
    project = project or project_in(system)
    system.gitlab.commit(project, branch="topic", files={"app.py": AFTER})
    return await system.gitlab.open_merge_request(
        project, source_branch="topic", draft=True, **more
    )


def commits_of(project: Project, branch: str = "topic", since: str = "main") -> list[Commit]:
    """The agent's commits on a branch, newest first."""
    return [
        commit
        for commit in project.repository.commits(f"{since}..{branch}")
        if "Gca-Task: " in commit.message
    ]


def replies_to(system: System, mr: MergeRequest, note: Note) -> list[Note]:
    """What the agent said in the note's thread."""
    [thread] = [d for d in system.gitlab.discussions(mr) if note in d.notes]
    return [one for one in thread.notes if one.author is system.gitlab.bot]


def said_by_agent(system: System, mr: MergeRequest) -> list[Note]:
    return [one for one in system.gitlab.notes(mr) if one.author is system.gitlab.bot]


def threads_of_agent(system: System, mr: MergeRequest) -> list[Discussion]:
    return [d for d in system.gitlab.discussions(mr) if d.notes[0].author is system.gitlab.bot]


def emoji_on(note: Note) -> list[str]:
    return [award.name for award in note.awards]


def comments_of_agent(system: System, issue: Issue) -> list[Comment]:
    return [one for one in issue.comments if one.author is system.tracker.jira.bot]


async def answered(
    system: System, mr: MergeRequest, note: Note, outcome: str = "posted"
) -> tuple[TaskPublished, str]:
    """The record and the text of the one reply to this note."""
    record = await system.answer_to(mr, note, seconds=PATIENCE)
    said = [one.body for one in replies_to(system, mr, note)]
    assert (outcome, 1) == (record.outcome, len(said)), (record, said, system.screen.getvalue())
    return record, said[0]


def state_of(system: System) -> dict[str, object]:
    """All that people see in GitLab and Jira: what no repetition may change."""
    found: dict[str, object] = {}
    for project in system.gitlab.world.projects.values():
        found[project.path_with_namespace] = project.repository.refs()
        for mr in project.merge_requests.values():
            notes = [(note.id, note.body, emoji_on(note)) for note in mr.notes]
            found[mr.web_url] = (mr.title, mr.description, mr.state, notes)
    if system.mapped is not None:
        for issue in system.mapped.jira.world.issues.values():
            comments = [comment.id for comment in issue.comments]
            found[issue.key] = (issue.status.name, len(issue.changes), comments)
    return found
