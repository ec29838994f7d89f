"""Jira's JSON as our models: Cloud v3 and Data Center v2 alike. Pure, called by `client`.

Every field may be missing or null; only an issue without a key, or an entry without an id, is a
`msgspec.ValidationError`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from libs.common.jira import adf, wiki
from libs.common.jira.jql import ISSUE_KEY
from libs.common.jira.models import Change, ChangeItem, Comment, Issue, Transition, User

T = TypeVar("T")
UNNAMED_LEVEL = "a level without a name"
Json = dict[str, Any]


class Page(msgspec.Struct, rename="camel"):
    """Any of Jira's pages, whatever its entries are called there."""

    issues: list[Json] = []
    values: list[Json] = []
    comments: list[Json] = []
    transitions: list[Json] = []
    next_page_token: str | None = None
    is_last: bool | None = None
    start_at: int = 0
    total: int | None = None


def page(raw: Any) -> Page:
    if not isinstance(raw, dict):
        raise msgspec.ValidationError("not an object")
    return msgspec.convert({k: v for k, v in raw.items() if v is not None}, Page)


def issue(raw: Any, base_url: str) -> Issue:
    record = _object(raw)
    key, fields = _text(record, "key"), _object(record.get("fields"))
    if not ISSUE_KEY.fullmatch(key):
        raise msgspec.ValidationError("an issue without a key")
    status = _object(fields.get("status"))
    labels = fields.get("labels")
    return Issue(
        key=key,
        id=_text(record, "id"),
        summary=_text(fields, "summary"),
        description=adf.to_text(fields.get("description")),
        status=_text(status, "name"),
        status_id=_text(status, "id"),
        issue_type=_text(_object(fields.get("issuetype")), "name"),
        labels=tuple(map(str, labels)) if isinstance(labels, list) else (),
        creator=user(fields.get("creator")),
        created=_moment(fields.get("created")),
        updated=_moment(fields.get("updated")),
        security_level=_security_level(fields.get("security")),
        web_url=f"{base_url.rstrip('/')}/browse/{key}",
    )


def changes(raw: Any) -> list[Change]:
    """The histories of an issue asked with `expand=changelog`."""
    histories = _object(_object(raw).get("changelog")).get("histories")
    return [change(each) for each in histories] if isinstance(histories, list) else []


def change(raw: Any) -> Change:
    record = _object(raw)
    items = record.get("items")
    return Change(
        id=_id(record),
        author=user(record.get("author")),
        created=_moment(record.get("created")),
        items=tuple(map(_item, items)) if isinstance(items, list) else (),
    )


def _item(raw: Any) -> ChangeItem:
    record = _object(raw)
    # Anybody's custom field may be called "status": its id is another, and its type is "custom".
    name = _text(record, "fieldId")
    if not name and _text(record, "fieldtype") != "custom":
        name = _text(record, "field")
    return ChangeItem(
        field=name,
        from_id=_text(record, "from"),
        from_name=_text(record, "fromString"),
        to_id=_text(record, "to"),
        to_name=_text(record, "toString"),
    )


def transition(raw: Any) -> Transition:
    record = _object(raw)
    to = _object(record.get("to"))
    return Transition(
        id=_id(record),
        name=_text(record, "name"),
        to_status=_text(to, "name"),
        to_status_id=_text(to, "id"),
        has_screen=record.get("hasScreen") is True,
    )


def transitions(raw: Any) -> list[Transition]:
    """Those that can be taken now; Cloud also lists others when asked in some ways."""
    return [transition(each) for each in page(raw).transitions if each.get("isAvailable", True)]


def comment(raw: Any) -> Comment:
    record = _object(raw)
    body = record.get("body")
    return Comment(
        id=_id(record),
        author=user(record.get("author")),
        body=wiki.to_text(adf.to_text(body)) if isinstance(body, str) else adf.to_text(body),
        created=_moment(record.get("created")),
        restricted=record.get("visibility") is not None or record.get("jsdPublic") is False,
    )


def user(raw: Any) -> User:
    record = _object(raw)
    return User(
        id=_text(record, "accountId") or _text(record, "name") or _text(record, "key"),
        display_name=_text(record, "displayName"),
        email=_text(record, "emailAddress"),
    )


def _security_level(raw: Any) -> str:
    """Its name; a level that Jira shows without one hides the issue all the same (SR-10)."""
    return "" if raw is None else _text(_object(raw), "name") or UNNAMED_LEVEL


def _object(raw: Any) -> Json:
    return raw if isinstance(raw, dict) else {}


def _text(record: Json, name: str) -> str:
    value = record.get(name)
    return value if isinstance(value, str) else ""


def _id(record: Json) -> str:
    found = record.get("id")
    if not isinstance(found, str | int) or found == "":
        raise msgspec.ValidationError("an entry without an id")
    return str(found)


def _moment(value: Any) -> datetime | None:
    """Jira's `2024-03-01T10:11:12.123+0000`; None for anything else."""
    try:
        moment = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
