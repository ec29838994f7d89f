"""Webhook bodies as a GitLab server sends them, about 6 KB, each of a merge request of its own.

Used by the load generator, and by the bare handler, which publishes the events that they mean.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from libs.common.events.envelope import NewEvent, encode, headers
from services.ingest.translate import Translated, translate
from services.ingest.webhook import SOURCE

SECRET = "bench-webhook-secret"
SIZE = 6 * 1024
PROJECT_ID = 42
_PARAGRAPH = (
    "The totals were rounded before the vouchers were taken off, so that a basket of many small "
    "items came out some cents too dear. They are rounded once now, at the end. "
)
_SHA, _IID = "@sha@", "@iid@"
_TRACEPARENT = f"00-{'1' * 32}-{'2' * 16}-01"


def _project() -> dict[str, Any]:
    web, ssh = "https://gitlab.example.com/shop/app", "git@gitlab.example.com:shop/app.git"
    return {
        "id": PROJECT_ID,
        "name": "app",
        "description": "Basket and orders",
        "web_url": web,
        "avatar_url": None,
        "git_ssh_url": ssh,
        "git_http_url": f"{web}.git",
        "namespace": "shop",
        "visibility_level": 0,
        "path_with_namespace": "shop/app",
        "default_branch": "main",
        "ci_config_path": "",
        "homepage": web,
        "url": ssh,
        "ssh_url": ssh,
        "http_url": f"{web}.git",
    }


def _user(number: int, name: str) -> dict[str, Any]:
    avatar = f"https://secure.gravatar.com/avatar/{'0' * 32}?s=80&d=identicon"
    return {"id": number, "name": name.title(), "username": name, "avatar_url": avatar}


def _label(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "title": f"area::{number}",
        "color": "#0075ca",
        "project_id": PROJECT_ID,
        "created_at": "2025-08-01 09:00:00 UTC",
        "updated_at": "2025-08-01 09:00:00 UTC",
        "template": False,
        "description": None,
        "type": "ProjectLabel",
        "group_id": None,
    }


def _attributes() -> dict[str, Any]:
    nothing = (
        "assignee_id head_pipeline_id last_edited_at last_edited_by_id merge_commit_sha "
        "merge_error merge_user_id milestone_id updated_by_id human_time_change "
        "human_time_estimate human_total_time_spent"
    )
    return {
        **dict.fromkeys(nothing.split()),
        "author_id": 7,
        "created_at": "2025-08-06 01:11:08 UTC",
        "updated_at": "2025-08-06 01:11:08 UTC",
        "description": "",
        "draft": False,
        "id": _IID,
        "iid": _IID,
        "merge_params": {"force_remove_source_branch": "1"},
        "merge_status": "checking",
        "merge_when_pipeline_succeeds": False,
        "source_branch": "round-once",
        "source_project_id": PROJECT_ID,
        "state_id": 1,
        "target_branch": "main",
        "target_project_id": PROJECT_ID,
        "time_estimate": 0,
        "title": "Round the total once",
        "prepared_at": "2025-08-06 01:11:10 UTC",
        "assignee_ids": [7],
        "blocking_discussions_resolved": True,
        "detailed_merge_status": "checking",
        "first_contribution": False,
        "labels": [_label(1), _label(2)],
        "last_commit": {
            "id": _SHA,
            "message": "Round the total once\n",
            "title": "Round the total once",
            "timestamp": "2025-08-06T01:10:00+00:00",
            "url": f"https://gitlab.example.com/shop/app/-/commit/{_SHA}",
            "author": {"name": "Alice", "email": "[REDACTED]"},
        },
        "reviewer_ids": [],
        "source": _project(),
        "state": "opened",
        "target": _project(),
        "time_change": 0,
        "total_time_spent": 0,
        "url": "https://gitlab.example.com/shop/app/-/merge_requests/1",
        "work_in_progress": False,
        "approval_rules": [],
        "action": "open",
    }


def _template() -> bytes:
    body: dict[str, Any] = {
        "object_kind": "merge_request",
        "event_type": "merge_request",
        "user": _user(7, "alice"),
        "project": _project(),
        "object_attributes": _attributes(),
        "labels": [_label(1), _label(2)],
        "changes": {"merge_status": {"previous": "preparing", "current": "checking"}},
        "repository": {"name": "app", "url": "git@gitlab.example.com:shop/app.git"},
        "assignees": [_user(7, "alice")],
    }
    missing = SIZE - len(msgspec.json.encode(body))
    text = (_PARAGRAPH * (missing // len(_PARAGRAPH) + 1))[:missing]
    body["object_attributes"]["description"] = text
    return msgspec.json.encode(body)


class Hooks:
    """Bodies by number; `run` keeps those of one run apart from those of any other."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._template = _template().replace(f'"{_IID}"'.encode(), _IID.encode())

    def body(self, number: int) -> bytes:
        sha = hashlib.sha1(f"{self._run}-{number}".encode()).hexdigest()
        iid = str(number + 1).encode()
        return self._template.replace(_SHA.encode(), sha.encode()).replace(_IID.encode(), iid)

    def event(self, number: int) -> tuple[str, bytes, dict[str, str]]:
        """Subject, bytes and headers that ingest appends for this hook."""
        meaning = translate(msgspec.json.decode(self.body(number)))
        if not isinstance(meaning, Translated):
            raise TypeError(f"hook {number} means no event: {meaning}")
        new = NewEvent(
            subject=meaning.subject,
            event=meaning.event,
            message_id=meaning.message_id,
            source=SOURCE,
            time=datetime.now(UTC),
            traceparent=_TRACEPARENT,
        )
        stored = headers(new) | {"Nats-Expected-Stream": "EVENTS"}
        return new.subject, encode(new.event), stored
