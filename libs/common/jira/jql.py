"""The query of the poller: bounded, its values quoted. Pure, called by `client`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import timedelta

from libs.common.jira.errors import Invalid

PROJECT_KEY = re.compile(r"[A-Z][A-Z0-9_]*")
ISSUE_KEY = re.compile(r"[A-Z][A-Z0-9_]*-[1-9][0-9]{0,17}")
LONGEST_STATUS = 255


def ready_query(
    project_keys: Iterable[str], status: str, *, updated_within: timedelta | None = None
) -> str:
    """Issues of these projects in this status; `Invalid` for keys or names that cannot be.

    `updated_within` is counted by Jira's own clock, in whole minutes.
    """
    keys = sorted(set(project_keys))
    if not keys:
        raise Invalid("JIRA_PROJECT_MAP names no project, and Jira takes no unbounded search")
    for key in keys:
        if not PROJECT_KEY.fullmatch(key):
            raise Invalid(f"JIRA_PROJECT_MAP: {key[:60]!r} is no Jira project key")
    if not status.strip() or len(status) > LONGEST_STATUS or not status.isprintable():
        raise Invalid("JIRA_TRIGGER_STATUS: must be the name of a status")
    clauses = [f"project in ({', '.join(map(quoted, keys))})", f"status = {quoted(status)}"]
    if updated_within is not None:
        minutes = max(1, math.ceil(updated_within.total_seconds() / 60))
        clauses.append(f"updated >= -{minutes}m")
    return f"{' AND '.join(clauses)} ORDER BY created ASC"


def quoted(value: str) -> str:
    """A JQL string; inside one only the backslash and the quote have a meaning."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def checked_key(issue_key: str) -> str:
    """The key, safe in a path; `Invalid` when it is none."""
    if not ISSUE_KEY.fullmatch(issue_key):
        raise Invalid(f"{issue_key[:60]!r} is no key of a Jira issue")
    return issue_key
