"""A strict, stateful Jira for tests and demos; start with `running_jira`."""

from __future__ import annotations

from .simulator import SimulatedJira, running_jira
from .state import Change, Comment, Issue, Project, Settings, Status, User, Way, Workflow
from .webhooks import Delivery

__all__ = [
    "Change",
    "Comment",
    "Delivery",
    "Issue",
    "Project",
    "Settings",
    "SimulatedJira",
    "Status",
    "User",
    "Way",
    "Workflow",
    "running_jira",
]
