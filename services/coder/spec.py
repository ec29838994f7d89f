"""The requests that the coder makes: pure, from what the API said. Called by its handlers.

A request without launches is never started: its end follows at once, and the words of a person who
may not ask stay out of it.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from libs.common import requesting
from libs.common.asking import Asked, Denied
from libs.common.events.facts import JiraReady
from libs.common.events.tasks import (
    DiffRefs,
    Issue,
    Limits,
    PushTarget,
    Requester,
    TaskKind,
    TaskRequested,
)
from libs.common.gitlab.models import Project
from services.coder.pinning import alone

MOST_BRANCHES = 20
"""Names that are tried for an issue's branch."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of a task, and when it is asked for."""

    limits: Limits
    now: datetime


def task_id(kind: TaskKind, project_id: int, iid: int, note_id: int) -> str:
    return f"{kind}-{project_id}-{iid}-n{note_id}"


def of_note(
    kind: TaskKind, asked: Asked | Denied, project: Project, refs: DiffRefs, terms: Terms
) -> TaskRequested:
    """What a command of a merge request asks for, without an instruction, launches and a branch."""
    mr = asked.mr
    return TaskRequested(
        task_id=task_id(kind, mr.project_id, mr.iid, asked.note.id),
        kind=kind,
        scope=str(mr.project_id),
        ref=str(mr.iid),
        project_id=mr.project_id,
        iid=mr.iid,
        clone_url=project.http_url_to_repo,
        web_url=mr.web_url,
        source_branch=mr.source_branch,
        target_branch=mr.target_branch,
        diff_refs=refs,
        title=requesting.shortened(mr.title, requesting.LONGEST_TITLE),
        description=requesting.shortened(mr.description, requesting.LONGEST_DESCRIPTION),
        author=mr.author_username,
        limits=terms.limits,
        expires_at=requesting.expires_at(terms.limits, terms.now),
        max_launches=0,
        requester=asked.requester,
        asked_in=asked.asked_in,
    )


def of_issue(ready: JiraReady, place: tuple[str, str], terms: Terms) -> TaskRequested:
    """What an issue asks for, as far as Jira says it; the project's part comes later.

    Not a word of an issue that only some may see (SR-10).
    """
    scope, ref = place
    summary = "" if ready.restricted else ready.summary
    title = requesting.shortened(summary, requesting.LONGEST_TITLE)
    return TaskRequested(
        task_id=f"coding-{scope}-{ref}-{ready.change_id}",
        kind="coding",
        scope=scope,
        ref=ref,
        project_id=ready.project_id,
        iid=0,
        clone_url=ready.clone_url,
        web_url=ready.web_url,
        source_branch="",
        target_branch=ready.target_branch,
        diff_refs=alone(""),
        title=title,
        limits=terms.limits,
        expires_at=requesting.expires_at(terms.limits, terms.now),
        max_launches=0,
        requester=Requester(
            name=ready.account_name or ready.account_id,
            account_id=ready.account_id,
            rule="whoever moved the issue to the trigger status may ask for code",
        ),
        issue=Issue(key=ready.issue_key, web_url=ready.web_url, status=ready.status),
    )


def with_instruction(request: TaskRequested, text: str) -> TaskRequested:
    """The request that a Job may be started for."""
    cut = requesting.shortened(text.strip(), requesting.LONGEST_INSTRUCTION)
    return msgspec.structs.replace(request, instruction=cut, max_launches=requesting.LAUNCHES)


def issue_instruction(ready: JiraReady) -> str:
    """Summary and description; the key where an issue has neither."""
    parts = (ready.summary.strip(), ready.description.strip())
    return "\n\n".join(part for part in parts if part) or ready.issue_key


def with_project(
    request: TaskRequested, project: Project, push: PushTarget, sha: str
) -> TaskRequested:
    """The issue's request with where it works and where its commit goes."""
    return msgspec.structs.replace(
        request,
        clone_url=project.http_url_to_repo,
        source_branch=push.branch,
        target_branch=request.target_branch or project.default_branch,
        diff_refs=alone(sha),
        push=push,
    )


def branch_names(issue_key: str) -> list[str]:
    """Names for the issue's branch, in the order in which they are tried."""
    first = f"agent/{issue_key}"
    return [first, *(f"{first}-{number}" for number in range(2, MOST_BRANCHES + 1))]
