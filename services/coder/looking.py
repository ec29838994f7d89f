"""What GitLab says of the places where a commit would go. Called by whoever decides on code."""

from __future__ import annotations

import structlog

from libs.common import serving
from libs.common.gitlab.errors import Forbidden, NotFound
from libs.common.gitlab.models import MergeRequest, Project
from services.coder.ports import Ports
from services.coder.refusing import Place, is_fork

log = structlog.get_logger()


async def place(mr: MergeRequest, project: Project, ports: Ports) -> Place:
    """Source project and branch of a merge request of `project`, and who may push there."""
    source = await _source(mr, project, ports)
    if source is None:
        return Place(mr=mr, source=None)
    try:
        branch = await ports.gitlab.branch(source.id, mr.source_branch)
    except Forbidden:
        return Place(mr=mr, source=None)
    if branch is None:
        return Place(mr=mr, source=source)
    target = None
    if is_fork(mr):
        target = await ports.gitlab.branch(project.id, mr.target_branch)
    patterns = await protected_patterns(source.id, ports)
    return Place(mr=mr, source=source, branch=branch, target=target, protected=patterns)


async def _source(mr: MergeRequest, project: Project, ports: Ports) -> Project | None:
    if not is_fork(mr):
        return project
    if mr.source_project_id is None:
        return None
    try:
        project = await ports.gitlab.project(mr.source_project_id)
        return serving.checked(project, ports.policy)
    except (NotFound, Forbidden):
        return None


async def protected_patterns(project_id: int, ports: Ports) -> tuple[str, ...]:
    """Names and patterns of protected branches; without the right to list them, none.

    The branch itself says whether it is protected, so this only widens what is never pushed to.
    """
    try:
        return tuple(await ports.gitlab.protected_branches(project_id))
    except (Forbidden, NotFound) as error:
        log.info("protected branches are not listed", project_id=project_id, why=str(error))
        return ()
