"""Which change brought an issue into the trigger status, and who made it (SR-11). Pure.

Called by ingest with an issue and its changelog, oldest or newest first. The id makes an issue
that comes back later a new event; ids of statuses count more than names, which can be changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from libs.common.jira.models import Change, ChangeItem, Issue, User

CREATED = "created"
"""The id when the issue was created in the status."""
_START = datetime.min.replace(tzinfo=UTC)


class StatusChange(msgspec.Struct, frozen=True, kw_only=True):
    """How the issue came into its status; `author.id` is empty when Jira does not say who."""

    id: str
    author: User
    at: datetime | None


def entered(issue: Issue, changelog: Iterable[Change], status: str) -> StatusChange | None:
    """The last change into `status`; None when the issue is not there, or the history disagrees.

    None fails closed: a history that does not explain the status says nothing about who is behind
    it. The next poll reads it again.
    """
    if issue.status.casefold() != status.casefold():
        return None
    moves = sorted(
        ((change, item) for change in changelog for item in change.items if _moves(item)),
        key=lambda move: _order(move[0]),
    )
    if not moves:
        return StatusChange(id=CREATED, author=issue.creator, at=issue.created)
    change, item = moves[-1]
    if not _leads_to(item, issue):
        return None
    return StatusChange(id=change.id, author=change.author, at=change.created)


def may_start(author: User, allowed: Iterable[str]) -> bool:
    """Whether this person's change starts work: by id or email, nobody unknown (SR-11).

    An empty list of `JIRA_ALLOWED_USERS` allows all.
    """
    names = {name.strip().casefold() for name in allowed} - {""}
    return not names or bool(names & ({author.id.casefold(), author.email.casefold()} - {""}))


def _moves(item: ChangeItem) -> bool:
    if item.field != "status":
        return False
    if item.from_id and item.to_id:
        return item.from_id != item.to_id
    return item.from_name != item.to_name


def _leads_to(item: ChangeItem, issue: Issue) -> bool:
    if item.to_id and issue.status_id:
        return item.to_id == issue.status_id
    return item.to_name.casefold() == issue.status.casefold()


def _order(change: Change) -> tuple[datetime, int]:
    number = int(change.id) if change.id.isascii() and change.id.isdecimal() else 0
    return change.created or _START, number
