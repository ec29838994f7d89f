"""A strict, stateful GitLab for tests and demos; start with `running_gitlab`."""

from __future__ import annotations

from .repository import Executable, Submodule, Symlink
from .request_log import LoggedRequest
from .settings import ServerSettings
from .simulator import SimulatedGitLab, running_gitlab
from .state import Discussion, DraftNote, MergeRequest, Note, Pipeline, Project, User
from .webhooks import Delivery

__all__ = [
    "Delivery",
    "Discussion",
    "DraftNote",
    "Executable",
    "LoggedRequest",
    "MergeRequest",
    "Note",
    "Pipeline",
    "Project",
    "ServerSettings",
    "SimulatedGitLab",
    "Submodule",
    "Symlink",
    "User",
    "running_gitlab",
]
