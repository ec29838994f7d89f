"""Whether an issue in the trigger status asks for code, and the event that says so. Pure.

Called by `jira_poller` with an issue and its history, both read after the search found it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from libs.common import subjects
from libs.common.events.facts import JiraReady
from libs.common.jira.models import Change, Issue
from libs.common.jira.status_change import StatusChange, entered, may_start
from services.ingest import body as read
from services.ingest.jira_map import JiraProject

NOT_MAPPED = "not_mapped"
MOVED_ON = "moved_on"
UNEXPLAINED = "unexplained"
NOT_ALLOWED = "not_allowed"
TOO_OLD = "too_old"
WORDS: Mapping[str, str] = {
    NOT_MAPPED: "the issue is in a project that JIRA_PROJECT_MAP does not name",
    MOVED_ON: "the issue is not in the status any more",
    UNEXPLAINED: "the issue's history does not say how it came into the status",
    NOT_ALLOWED: "whoever moved the issue is not in JIRA_ALLOWED_USERS",
    TOO_OLD: "the issue was moved longer ago than the event log remembers",
}
"""Why an issue starts nothing, in words for the log, by the outcome that is counted."""
OLDEST = timedelta(days=28)
"""Below the 30 days that events are kept: past those nobody could tell that it was done."""
LONGEST_TEXT = 64 * 1024
LONGEST_KEY = 60
MOST_LABELS = 50
MOST_DOUBTS = 5
"""Looks at an issue whose history makes no sense."""
_CHANGE = re.compile(r"[0-9A-Za-z_]{1,40}")
"""What a change's id may be, because a task id is made of it."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator decided; `projects` by their key in Jira."""

    status: str
    projects: Mapping[str, JiraProject]
    allowed_users: tuple[str, ...] = ()


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """An event to create, with its subject and the name of this observation."""

    event: JiraReady
    subject: str
    message_id: str


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """An issue that starts nothing; `account` is who moved it, where that is why."""

    outcome: str
    account: str = ""


def judge(issue: Issue, history: Iterable[Change], rules: Rules, now: datetime) -> Ready | Skipped:
    """What the issue asks for; SR-11: only by the hand of an allowed user."""
    project = rules.projects.get(issue.project_key)
    if project is None or len(issue.key) > LONGEST_KEY:
        return Skipped(outcome=NOT_MAPPED)
    if issue.status.casefold() != rules.status.casefold():
        return Skipped(outcome=MOVED_ON)
    change = entered(issue, history, rules.status)
    if change is None or not _CHANGE.fullmatch(change.id):
        return Skipped(outcome=UNEXPLAINED)
    if not may_start(change.author, rules.allowed_users):
        return Skipped(outcome=NOT_ALLOWED, account=change.author.id)
    if change.at is not None and now - change.at > OLDEST:
        return Skipped(outcome=TOO_OLD)
    key, number = issue.project_key, issue.number
    return Ready(
        event=_event(issue, change, project),
        subject=subjects.jira_ready(key, number, change.id),
        message_id=f"jira.ready-{key}-{number}-{change.id}",
    )


def _event(issue: Issue, change: StatusChange, project: JiraProject) -> JiraReady:
    # Nothing is done for an issue that is hidden from some, so its words stay in Jira (SR-10).
    restricted = bool(issue.security_level)
    return JiraReady(
        issue_key=issue.key,
        change_id=change.id,
        status=read.text(issue.status),
        changed_at=change.at,
        account_id=read.text(change.author.id),
        account_name=read.text(change.author.display_name),
        summary="" if restricted else read.text(issue.summary),
        description="" if restricted else read.text(issue.description, LONGEST_TEXT),
        issue_type=read.text(issue.issue_type),
        labels=tuple(read.text(label) for label in issue.labels[:MOST_LABELS]),
        web_url=issue.web_url,
        restricted=restricted,
        project_id=project.gitlab_project_id,
        clone_url=project.clone_url,
        target_branch=project.target_branch,
    )


class Looked(msgspec.Struct):
    """Which issues were looked at, so that one that stands in the status costs no more calls.

    A help only: after a restart everything is looked at again, and the log knows the event.
    """

    until: dict[str, datetime | None] = msgspec.field(default_factory=dict)
    doubts: dict[str, int] = msgspec.field(default_factory=dict)

    def is_news(self, issue: Issue) -> bool:
        """Whether the issue has changed since; the search may show it older than it was."""
        if issue.key not in self.until:
            return True
        until = self.until[issue.key]
        if until is None or issue.updated is None:
            return until != issue.updated
        return issue.updated > until

    def done(self, found: Issue, issue: Issue) -> None:
        """`found` by the search, read again as `issue`; the later of both counts."""
        times = [each.updated for each in (found, issue) if each.updated is not None]
        self.until[found.key] = max(times, default=None)
        self.doubts.pop(found.key, None)

    def is_worth_another(self, found: Issue) -> bool:
        """Whether to look again at what made no sense: parts of Jira may be behind others."""
        self.doubts[found.key] = self.doubts.get(found.key, 0) + 1
        return self.doubts[found.key] < MOST_DOUBTS

    def keep(self, keys: Iterable[str]) -> None:
        """Forget all others: they left the status."""
        kept = set(keys)
        self.until = {key: until for key, until in self.until.items() if key in kept}
        self.doubts = {key: doubts for key, doubts in self.doubts.items() if key in kept}
