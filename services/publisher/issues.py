"""What a Jira issue gets: one Draft merge request, one comment, and its place in the workflow.

Called by `commands` and `starts`, under the issue's lease. Each looks first at what is there.
"""

from __future__ import annotations

import re

import structlog

from libs.common.errors import Temporary
from libs.common.events.tasks import ChangesProposed, Issue, TaskRequested, Write
from libs.common.gitlab.errors import AlreadyThere
from libs.common.gitlab.models import MergeRequest
from libs.common.jira import errors as jira_errors
from services.publisher.issue_words import MERGE_REQUEST, comment_document, description, title
from services.publisher.markers import Marker, read_markers
from services.publisher.orders import target_of
from services.publisher.ports import Jira, Ports
from services.publisher.replies import Reply
from services.publisher.threads import missed

_NOT_TAKEN = (
    jira_errors.Conflict,
    jira_errors.Forbidden,
    jira_errors.Invalid,
    jira_errors.NotFound,
)
log = structlog.get_logger()


async def merge_request_of(
    result: ChangesProposed, request: TaskRequested, ports: Ports
) -> MergeRequest:
    """The task's merge request, made now if it is not there yet; always a draft (SR-36)."""
    found = await _existing(request, ports)
    if found is not None:
        return found
    try:
        return await ports.gitlab.create_merge_request(
            request.project_id,
            source_branch=target_of(request).branch,
            target_branch=request.target_branch,
            title=title(request, ports.policy),
            description=description(result, request, ports.policy),
        )
    except AlreadyThere as error:
        found = await _existing(request, ports)
        if found is None:
            raise Temporary(f"GitLab has a merge request but does not list it: {error}") from None
        return found


async def comment(reply: Reply, request: TaskRequested, ports: Ports, *links: str) -> list[Write]:
    """Our one comment of this task, known again by the task id in it."""
    issue, jira = _issue(request), ports.jira
    if jira is None:
        log.warning("no Jira is set up here; set JIRA_URL", task_id=request.task_id)
        return []
    try:
        found = await _own_comment(jira, issue, request.task_id)
        if found is None:
            document = comment_document(reply, request, ports.policy, links)
            found = (await jira.add_comment(issue.key, document)).id
    except _NOT_TAKEN as error:
        missed("jira_comment", error, request)
        return []
    return [Write(what="jira_comment", id=found, web_url=issue.web_url)]


async def move(status: str, request: TaskRequested, ports: Ports) -> list[Write]:
    """Into the status of that name, from those of our own way through the workflow.

    Nothing where it is there, a person put it elsewhere meanwhile, or the workflow has no way.
    """
    issue = _issue(request)
    if ports.jira is None:
        return []
    ours = (issue.status, ports.rules.in_progress) if issue.status else ()
    try:
        moved = await ports.jira.transition(issue.key, status, only_from=ours)
    except _NOT_TAKEN as error:
        missed("jira_transition", error, request)
        return []
    return [Write(what="jira_transition", id=status, web_url=issue.web_url)] if moved else []


async def _existing(request: TaskRequested, ports: Ports) -> MergeRequest | None:
    """An open one of the branch, or ours of this task that a person has closed meanwhile."""
    listed = await ports.gitlab.merge_requests_from(request.project_id, target_of(request).branch)
    of_branch = [mr for mr in listed if mr.target_branch == request.target_branch]
    me = await ports.gitlab.current_user()
    mark = Marker(request.task_id, MERGE_REQUEST)
    ours = [
        mr for mr in of_branch if mr.author_id == me.id and mark in read_markers(mr.description)
    ]
    opened = [mr for mr in of_branch if mr.state == "opened"]
    return next(iter([*ours, *opened]), None)


async def _own_comment(jira: Jira, issue: Issue, task_id: str) -> str | None:
    me = await jira.current_user()
    named = re.compile(rf"(?<![\w-]){re.escape(task_id)}(?![\w-])")
    for one in await jira.comments(issue.key):
        if one.author.id == me.id and named.search(one.body):
            return one.id
    return None


def _issue(request: TaskRequested) -> Issue:
    assert request.issue is not None  # noqa: S101  # only tasks of issues come here
    return request.issue
