"""Records as the JSON of Jira's REST API, v3 or v2. Called by `rest`, `search` and `webhooks`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from .state import Change, Comment, Issue, Status, User, Way, World

NAVIGABLE = ("summary", "description", "status", "creator", "created", "updated", "issuetype")
ALL = (*NAVIGABLE, "labels", "security", "project", "comment")


def stamp(moment: datetime) -> str:
    """Write `2024-03-01T10:11:12.123+0000`."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}{moment:%z}"


def user(world: World, record: User | None) -> dict[str, Any] | None:
    """Write an account: accountId on Cloud, name and key on Data Center."""
    if record is None:
        return None
    shown = {"displayName": record.display_name, "active": True, "emailAddress": record.email}
    if world.settings.data_center:
        return {"name": record.name, "key": f"JIRAUSER{record.name}", **shown}
    return {"accountId": record.account_id, "accountType": "atlassian", **shown}


def status(record: Status) -> dict[str, Any]:
    category = {"key": record.category}
    return {"id": record.id, "name": record.name, "statusCategory": category}


def issue(world: World, record: Issue, fields: Iterable[str]) -> dict[str, Any]:
    return {
        "id": record.id,
        "key": record.key,
        "self": f"{world.url}/rest/api/latest/issue/{record.id}",
        "fields": {name: _field(world, record, name) for name in named(fields)},
    }


def named(fields: Iterable[str]) -> list[str]:
    """Expand `*all` and `*navigable`, and leave out what Jira does not know."""
    found: list[str] = []
    for name in fields:
        more = {"*all": ALL, "*navigable": NAVIGABLE}.get(name, (name,))
        found += [each for each in more if each in ALL and each not in found]
    return found


def _field(world: World, record: Issue, name: str) -> Any:
    made: dict[str, Any] = {
        "summary": record.summary,
        "description": record.description,
        "status": status(record.status),
        "creator": user(world, record.creator),
        "created": stamp(record.created),
        "updated": stamp(record.updated),
        "issuetype": {"name": record.issue_type},
        "labels": record.labels,
        "security": {"name": record.security} if record.security else None,
        "project": {"id": record.project.id, "key": record.project.key},
        "comment": {"comments": [comment(world, each) for each in record.comments]},
    }
    return made[name]


def change(world: World, record: Change) -> dict[str, Any]:
    items = [dict(item) for item in record.items]
    if world.settings.data_center:  # which has no ids of fields in its history
        for item in items:
            item.pop("fieldId", None)
    shown = {"id": record.id, "created": stamp(record.created), "items": items}
    author = user(world, record.author)
    return shown | {"author": author} if author else shown


def transition(record: Way, target: Status) -> dict[str, Any]:
    return {
        "id": record.id,
        "name": record.name,
        "to": status(target),
        "hasScreen": record.screen,
        "isGlobal": record.source is None,
        "isAvailable": True,
    }


def comment(world: World, record: Comment) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": record.id,
        "author": user(world, record.author),
        "body": record.body,
        "created": stamp(record.created),
        "updated": stamp(record.created),
    }
    if record.visibility:
        shown["visibility"] = {"type": "role", "value": record.visibility}
    return shown
