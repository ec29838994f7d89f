"""Which projects are served: `GITLAB_PROJECTS` and `GITLAB_GROUPS` against one project. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

_GROUP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """Project ids, and lower-case paths of projects and of groups with all that is below them.

    When all are empty, every project that reaches us is served.
    """

    ids: frozenset[int] = frozenset()
    paths: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()

    def serves(self, project_id: int, path: str) -> bool:
        if not self.ids and not self.paths and not self.groups:
            return True
        plain = path.strip("/").lower()
        if project_id in self.ids or plain in self.paths:
            return True
        return any(plain.startswith(f"{group}/") for group in self.groups)


def is_project(text: str) -> bool:
    """Whether `text` can be an id or a full path: a path always has a namespace."""
    return _is_id(text) or "/" in text.strip("/")


def is_group(text: str) -> bool:
    """Whether `text` can be a group's full path; its id would not tell what is below it."""
    return _GROUP.fullmatch(text.strip("/")) is not None and not _is_id(text)


def allowed(projects: Iterable[str], groups: Iterable[str] = ()) -> Allowed:
    """From ids and paths as they stand in the settings; GitLab's paths know no upper case."""
    given = [project.strip().strip("/") for project in projects]
    return Allowed(
        ids=frozenset(int(project) for project in given if _is_id(project)),
        paths=frozenset(project.lower() for project in given if not _is_id(project)),
        groups=frozenset(group.strip().strip("/").lower() for group in groups),
    )


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit()
