"""Records pipelines; nothing runs. Called by `pushes` and by the life of merge requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .state import Pipeline

if TYPE_CHECKING:
    from .state import MergeRequest, Project, User
    from .world import World


def start_pipeline(  # the columns of a pipeline
    world: World, project: Project, user: User, *, ref: str, sha: str, source: str = "push"
) -> None:
    project.pipelines.append(
        Pipeline(
            id=world.next_id(),
            iid=len(project.pipelines) + 1,
            ref=ref,
            sha=sha,
            user=user,
            created_at=world.clock.now(),
            source=source,
        )
    )


def start_for_merge_request(world: World, merge_request: MergeRequest, user: User) -> None:
    """Start the pipeline of a new diff, where the project's CI file asks for one."""
    if not world.settings.merge_request_pipelines:
        return
    start_pipeline(
        world,
        merge_request.project,
        user,
        ref=f"refs/merge-requests/{merge_request.iid}/head",
        sha=merge_request.head_sha,
        source="merge_request_event",
    )
