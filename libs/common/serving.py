"""Whether a project is one of ours, and where its code may be fetched.

Called by the services that request tasks, before any request: what they put in it is where tokens
go (SR-03, SR-04).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from libs.common.access import Levels
from libs.common.allowed import Allowed
from libs.common.errors import Permanent
from libs.common.events.tasks import Limits
from libs.common.gitlab.clone_url import clone_url_allowed
from libs.common.gitlab.errors import NotFound
from libs.common.gitlab.models import Project


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The operator's settings that a decision needs."""

    gitlab_url: str
    limits: Limits
    projects: Allowed
    levels: Levels
    allow_http: bool = False


class GitLab(Protocol):
    """What is asked of GitLab here."""

    async def project(self, project_id: int) -> Project: ...


async def served(project_id: int, gitlab: GitLab, policy: Policy) -> Project | None:
    """The project when it is there and one of ours; raises `Permanent` on a strange clone url."""
    try:
        project = await gitlab.project(project_id)
    except NotFound:
        return None
    if not policy.projects.serves(project.id, project.path_with_namespace):
        return None
    return checked(project, policy)


def checked(project: Project, policy: Policy) -> Project:
    """The project, if its clone url is GitLab's: no token goes anywhere else."""
    if not clone_url_allowed(
        project.http_url_to_repo,
        policy.gitlab_url,
        external_url=project.web_url,
        allow_http=policy.allow_http,
    ):
        raise Permanent(
            "the project's clone url is on another host than GITLAB_URL; no token goes there"
        )
    return project
