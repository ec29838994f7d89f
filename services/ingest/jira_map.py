"""`JIRA_PROJECT_MAP`: which Jira project's issues become code in which GitLab project. Pure.

Called by `settings` with the JSON that an operator wrote; every wrong entry is named by its key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from libs.common.allowed import Allowed
from libs.common.errors import cut
from libs.common.gitlab.clone_url import same_origin
from libs.common.jira.jql import PROJECT_KEY
from services.ingest import body as read

_FIELDS = ("gitlab_project_id", "clone_url", "target_branch")
_LONGEST_KEY = 40
EXAMPLE = '{"PROJ": {"gitlab_project_id": 42}}'


class JiraProject(msgspec.Struct, frozen=True, kw_only=True):
    """One entry; without `target_branch` it is the default branch of the GitLab project."""

    key: str
    gitlab_project_id: int
    clone_url: str = ""
    target_branch: str = ""


class WrongMap(ValueError):
    """What is wrong, in one line for an operator."""


def project_map(text: str) -> tuple[JiraProject, ...]:
    """The entries of the setting; raises `WrongMap` with every problem."""
    try:
        entries = msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise WrongMap(f"must be JSON such as {EXAMPLE}") from None
    if not isinstance(entries, dict):
        raise WrongMap(f"must be a JSON object such as {EXAMPLE}")
    problems = [problem for key, entry in entries.items() for problem in _problems(key, entry)]
    if problems:
        raise WrongMap(f"has wrong entries: {'; '.join(problems)}")
    return tuple(JiraProject(key=key, **entry) for key, entry in entries.items())


def unserved(projects: Iterable[JiraProject], allowed: Allowed) -> list[str]:
    """Entries whose project is surely not served; where paths are, the coder asks GitLab."""
    if allowed.paths or allowed.groups:
        return []
    return [
        f"{project.key}: its project is not in GITLAB_PROJECTS"
        for project in projects
        if not allowed.serves(project.gitlab_project_id, "")
    ]


def _problems(key: str, entry: Any) -> list[str]:
    name = cut(key, _LONGEST_KEY) or "an empty key"
    if not PROJECT_KEY.fullmatch(key) or len(key) > _LONGEST_KEY:
        return [f"{name}: is no key of a Jira project, such as PROJ"]
    if not isinstance(entry, dict):
        return [f"{name}: must be an object with gitlab_project_id"]
    return [f"{name}: {problem}" for problem in _problems_of_fields(entry)]


def _problems_of_fields(entry: Mapping[str, Any]) -> list[str]:
    found = []
    if read.positive(entry.get("gitlab_project_id")) is None:
        found.append("gitlab_project_id must be a whole number from 1 on")
    if "clone_url" in entry and not _is_clone_url(entry["clone_url"]):
        found.append("clone_url must be an http or https address without user and password")
    if "target_branch" in entry and not _is_branch(entry["target_branch"]):
        found.append("target_branch must be the name of a branch")
    unknown = sorted(set(entry) - set(_FIELDS))
    if unknown:
        found.append(f"has no setting {cut(unknown[0], _LONGEST_KEY)!r}, only {', '.join(_FIELDS)}")
    return found


def _is_clone_url(value: Any) -> bool:
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        return False
    # An origin is only read from an address that says one thing, and has no login in it.
    return value.startswith(("https://", "http://")) and same_origin(value, value)


def _is_branch(value: Any) -> bool:
    """Whether it can be one as far as it matters here; git knows the rest of its rules."""
    if not isinstance(value, str) or not 0 < len(value) <= read.LONGEST_NAME:
        return False
    return (
        value.isprintable()
        and not value.startswith(("-", "/"))
        and not set(value) & set(" ~^:?*[\\")
    )
