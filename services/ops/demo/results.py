"""What people see of each flow in the simulated GitLab and Jira, read over their APIs.

Called by `run`: the log says that something was posted, this looks whether it is there.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from libs.common.errors import AgentError
from libs.common.events.envelope import Recorded
from libs.common.events.tasks import TaskPublished, TaskRequested
from libs.common.gitlab.client import GitLabClient
from libs.common.gitlab.models import Discussion, NotePosition
from libs.common.gitlab.server import Server
from libs.common.jira.client import JiraClient
from services.ops.demo.flows import Name
from services.ops.screen import left
from services.ops.simulated import Simulated


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A flow's result as posted, its one line, and what of it is not there though it should be."""

    text: str
    summary: str
    missing: str = ""


async def shown(
    name: Name, end: TaskPublished, simulated: Simulated, history: Sequence[Recorded]
) -> Shown:
    """Raises `AgentError` when the simulated peers do not answer."""
    request = _request(end, history)
    server = Server(url=simulated.gitlab_url, token=simulated.settings["GITLAB_READ_TOKEN"])
    async with GitLabClient(server) as gitlab:
        if name == "review":
            return _review(end, await gitlab.discussions(request.project_id, request.iid))
        if name == "command":
            return await _command(end, request, gitlab)
        return await _issue(end, request, gitlab, simulated)


def _request(end: TaskPublished, history: Sequence[Recorded]) -> TaskRequested:
    for record in history:
        if isinstance(record.event, TaskRequested) and record.event.task_id == end.task_id:
            return record.event
    raise AgentError(f"the log has no request of {end.task_id}")


def _review(end: TaskPublished, discussions: Sequence[Discussion]) -> Shown:
    inline = [_comment(found) for found in discussions if found.id in end.discussion_ids]
    summaries = [
        _visible(found.notes[0].body)
        for found in discussions
        if found.notes and found.notes[0].id == end.summary_note_id
    ]
    missing = "" if inline and summaries else "its comments or its summary cannot be seen"
    return Shown(
        text="\n".join([*inline, *summaries]),
        summary=f"{left(end)}  {end.web_url}",
        missing=missing,
    )


async def _command(end: TaskPublished, request: TaskRequested, gitlab: GitLabClient) -> Shown:
    """The commit must be in the merge request, and the reply in the thread of the note."""
    thread = request.asked_in.discussion_id if request.asked_in else ""
    discussions = await gitlab.discussions(request.project_id, request.iid)
    replies = [
        _visible(note.body)
        for found in discussions
        if found.id == thread
        for note in found.notes[1:]
        if not note.system
    ]
    commits = await gitlab.commits(request.project_id, request.iid)
    missing = "" if replies else "there is no reply in the thread"
    if not end.commit_sha or end.commit_sha not in {commit.id for commit in commits}:
        missing = "its commit is not in the merge request"
    text = "\n".join(f"reply in the thread:\n{_indented(reply)}" for reply in replies)
    return Shown(text=text, summary=f"{left(end)}, a reply  {end.web_url}", missing=missing)


async def _issue(
    end: TaskPublished, request: TaskRequested, gitlab: GitLabClient, simulated: Simulated
) -> Shown:
    """The merge request must be a Draft, and the comment in Jira must lead to it."""
    if not end.merge_request_iid or request.issue is None:
        raise AgentError("no merge request was made")
    mr = await gitlab.merge_request(request.project_id, end.merge_request_iid)
    async with JiraClient(simulated.jira_server()) as jira:
        comments = [comment.body for comment in await jira.comments(request.issue.key)]
    leading = [body for body in comments if mr.web_url in body]
    missing = "" if leading else "no comment in Jira leads to the merge request"
    if not mr.draft:
        missing = "the merge request is no Draft"
    text = f"{mr.title}\n{_indented(_visible(mr.description))}"
    text += "".join(f"\ncomment in Jira:\n{_indented(body)}" for body in leading)
    return Shown(
        text=text,
        summary=f"{left(end)}  {mr.web_url}  {request.issue.web_url}",
        missing=missing,
    )


def _comment(discussion: Discussion) -> str:
    note = discussion.notes[0]
    return f"{_place(note.position)}\n{_indented(_visible(note.body))}\n"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _place(position: NotePosition | None) -> str:
    if position is None:
        return "merge request"
    if position.new_line is None and position.old_line is not None:
        return f"{position.old_path}:{position.old_line} (removed line)"
    return (
        f"{position.new_path}:{position.new_line}" if position.new_line else f"{position.new_path}"
    )


def _visible(body: str) -> str:
    """The text without its hidden markers."""
    return "\n".join(
        line for line in body.splitlines() if not line.strip().startswith("<!--")
    ).strip()
