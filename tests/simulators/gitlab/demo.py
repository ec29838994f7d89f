"""The demo project and its merge request, from `tests/simulators/demo`; imported only for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .state import DEVELOPER, GUEST

if TYPE_CHECKING:
    from .simulator import SimulatedGitLab
    from .state import MergeRequest


def create_demo(gitlab: SimulatedGitLab) -> None:
    """Create the project, its people and the branch; the merge request is opened on demand.

    dora is the Developer who types commands; gina is a Guest, whose commands are refused.
    """
    demo = _demo()
    project = gitlab.create_project(
        demo.path,
        files=demo.base_files,
        default_branch=demo.target_branch,
        message=demo.base_commit_message,
    )
    dora = gitlab.world.add_user("dora", name="Dora Diaz")
    gitlab.add_member(project, dora, DEVELOPER)
    gina = gitlab.world.add_user("gina", name="Gina Guest")
    gitlab.add_member(project, gina, GUEST)
    gitlab.commit(
        project,
        branch=demo.source_branch,
        files=demo.head_files,
        message=demo.commit_message,
        author=dora,
    )


async def open_demo(gitlab: SimulatedGitLab) -> MergeRequest:
    """Open the demo merge request, or return the one that is there."""
    demo = _demo()
    if gitlab.world.project_by_path(demo.path) is None:
        create_demo(gitlab)
    project = gitlab.world.project_by_path(demo.path)
    if project is None:
        raise ValueError("the demo project could not be created")
    for merge_request in project.merge_requests.values():
        if merge_request.source_branch == demo.source_branch and merge_request.state == "opened":
            return merge_request
    return await gitlab.open_merge_request(
        project,
        source_branch=demo.source_branch,
        title=demo.title,
        description=demo.description,
    )


def _demo() -> Any:
    from tests.simulators.demo import DEMO  # noqa: PLC0415  # only when a demo is asked for

    return DEMO
