"""Which projects are served: `GITLAB_PROJECTS` against the project a hook names. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """Project ids and lower-case paths; when both are empty every project that reaches us is."""

    ids: frozenset[int] = frozenset()
    paths: frozenset[str] = frozenset()

    def serves(self, project_id: int, path: str) -> bool:
        if not self.ids and not self.paths:
            return True
        return project_id in self.ids or path.strip("/").lower() in self.paths


def is_project(text: str) -> bool:
    """Whether `text` can be an id or a full path: a path always has a namespace."""
    return _is_id(text) or "/" in text.strip("/")


def allowed(projects: Iterable[str]) -> Allowed:
    """From ids and paths as they stand in the setting; GitLab's paths know no upper case."""
    given = [project.strip().strip("/") for project in projects]
    return Allowed(
        ids=frozenset(int(project) for project in given if _is_id(project)),
        paths=frozenset(project.lower() for project in given if not _is_id(project)),
    )


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit()
