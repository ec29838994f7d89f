"""Where in the log a task is, from its id alone: pure, the shapes of the task ids.

Called by `task_door`, which is told nothing but the id.
"""

from __future__ import annotations

import re

from libs.common import subjects

_TASK_ID = re.compile(
    r"""
    (?:
        review-(?P<review_project>[1-9][0-9]*)-(?P<review_iid>[1-9][0-9]*)-[0-9a-f]{16}
      | (?:coding|ask)-(?P<project>[1-9][0-9]*)-(?P<iid>[1-9][0-9]*)
      | echo-(?P<doctor>doctor)-(?P<nothing>0)
      | coding-(?P<jira>[A-Z][A-Z0-9_]*)-(?P<number>[1-9][0-9]*)
    )
    -[A-Za-z0-9_]+(?:-[A-Za-z0-9_]+)*
    """,
    re.VERBOSE,
)
LONGEST = 128
"""Characters that a token of a subject may have."""


def scope_and_ref(task_id: str) -> tuple[str, str] | None:
    """Project_id and iid, or Jira project and number; None when it is no id of a task.

    `review-<project_id>-<iid>-<sha16>-<n>`, `coding-` and `ask-<project_id>-<iid>-n<note_id>`,
    `coding-<PROJ>-<number>-<change_id>`, `echo-doctor-0-<number>`, each with further
    parts when it was asked for again.
    """
    match = _TASK_ID.fullmatch(task_id) if len(task_id) <= LONGEST else None
    if match is None:
        return None
    scope = match["review_project"] or match["project"] or match["jira"] or match["doctor"]
    ref = match["review_iid"] or match["iid"] or match["number"] or match["nothing"]
    return scope, ref


def requested(task_id: str) -> str | None:
    """The subject of the task's request."""
    found = scope_and_ref(task_id)
    return subjects.task_requested(*found, task_id) if found else None


def result(task_id: str) -> str | None:
    """The subject of the task's one end."""
    found = scope_and_ref(task_id)
    return subjects.task_result(*found, task_id) if found else None
