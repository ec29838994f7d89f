"""What follows when branches have moved: push hooks, pipelines, merge requests.

Called after a push over git, and by `simulator` for the commits that tests make.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import events
from .merge_requests import branch_moved
from .pipelines import start_pipeline
from .repository import ZERO_SHA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .state import Project, User
    from .world import World

SKIP = "ci.skip"


def landed(
    world: World,
    project: Project,
    user: User,
    changed: dict[str, tuple[str, str]],
    *,
    options: Sequence[str] = (),
) -> None:
    """Tell everybody of refs that went from one sha to another, by whom."""
    events.push_events(world, project, user, changed, options)
    for ref, (_, after) in changed.items():
        branch = ref.removeprefix("refs/heads/")
        if after != ZERO_SHA and SKIP not in options:
            start_pipeline(world, project, user, ref=ref.split("/", 2)[2], sha=after)
        if branch != ref:
            branch_moved(world, project, user, branch, after)
