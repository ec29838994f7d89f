"""Serves a Jira issue that is ready: one task, one new branch, chosen once.

Called by `handlers` for each `jira.ready`. Who may move an issue there was judged by ingest
(SR-11); the project is read again from GitLab.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import structlog

from libs.common import appending, budgets, serving, subjects
from libs.common.appending import Refusal
from libs.common.events.envelope import Recorded
from libs.common.events.facts import JiraReady
from libs.common.events.tasks import PushTarget, TaskRequested
from services.coder import history, looking, spec, turns
from services.coder.commanding import never_to
from services.coder.ports import Ports
from services.coder.refusing import covers

log = structlog.get_logger()


async def on_ready(event: Recorded, ready: JiraReady, ports: Ports) -> None:
    """Request the issue's code, once; a request that is there keeps its branch."""
    place = subjects.scope_and_ref(event.subject)
    terms = spec.Terms(limits=ports.policy.limits, now=ports.clock.now())
    hollow = spec.of_issue(ready, place, terms)
    task_id = await history.task_id(hollow.task_id, event, ports.log)
    if not task_id:
        log.info("replay ignored", task_id=hollow.task_id, why="its work is done, or on its way")
        return
    hollow = msgspec.structs.replace(hollow, task_id=task_id)
    if await history.is_settled(*place, hollow.task_id, ports.log):
        return
    found: TaskRequested | Refusal | None
    found = await budgets.over_budget(hollow, ports.spending, ports.clock.now())
    if found is None:
        found = await _request(ready, hollow, ports)
    if isinstance(found, Refusal):
        await appending.refuse(hollow, found, event, ports)
        return
    await appending.begin(spec.with_instruction(found, spec.issue_instruction(ready)), event, ports)


async def _request(
    ready: JiraReady, hollow: TaskRequested, ports: Ports
) -> TaskRequested | Refusal:
    if ready.restricted:
        return Refusal(code="restricted_issue")
    project = await serving.served(ready.project_id, ports.gitlab, ports.policy)
    if project is None:
        return Refusal(code="no_project", detail="it is gone, or not in GITLAB_PROJECTS")
    target = await ports.gitlab.branch(project.id, hollow.target_branch or project.default_branch)
    if target is None:
        return Refusal(code="no_branch", detail="the target branch is not there")
    protected = await looking.protected_patterns(project.id, ports)
    name = await _free_branch(ready.issue_key, hollow, project.id, ports)
    if name is None:
        return Refusal(code="no_branch", detail=f"{spec.MOST_BRANCHES} branches are taken")
    if any(covers(pattern, name) for pattern in protected):
        return Refusal(code="protected", detail=f"a protected pattern covers {name}")
    push = PushTarget(
        project_id=project.id,
        clone_url=project.http_url_to_repo,
        branch=name,
        new_branch=True,
        never_to=never_to(project, protected),
    )
    return spec.with_project(hollow, project, push, target.sha)


async def _free_branch(
    issue_key: str, hollow: TaskRequested, project_id: int, ports: Ports
) -> str | None:
    """The first name that nobody has, in GitLab or by another task of the issue."""
    records = await ports.log.history(subjects.history(hollow.scope, hollow.ref))
    ours = _spoken_for(records)
    for name in spec.branch_names(issue_key):
        if name in ours:
            continue
        if await ports.gitlab.branch(project_id, name) is None:
            return name
    return None


def _spoken_for(records: Iterable[Recorded]) -> set[str]:
    """Branches of tasks that pushed, or still may."""
    return {
        branch
        for (_, branch), line in turns.lines(records).items()
        if any(turn.is_open or turn.is_proposed or turn.commit_sha for turn in line)
    }
