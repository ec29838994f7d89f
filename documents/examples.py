"""An example of each event, made from its type and checked by reading it. Pure.

Called by `events` and `asyncapi`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect

_HEAD = "4f2b9c0d1e3a5b6c7d8e9f00112233445566778a"
_BASE = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
_TASK = f"review-42-7-{_HEAD[:16]}-0"
_MOMENT = "2026-01-31T12:00:00Z"
BY_NAME: dict[str, Any] = {
    "project_id": 42,
    "iid": 7,
    "scope": "42",
    "ref": "7",
    "head_sha": _HEAD,
    "base_sha": _BASE,
    "start_sha": _BASE,
    "old_sha": "",
    "task_id": _TASK,
    "by": "review-42-7-99aabbccddeeff00-0",
    "clone_url": "https://gitlab.example.com/shop/app.git",
    "web_url": "https://gitlab.example.com/shop/app/-/merge_requests/7",
    "source_branch": "vouchers",
    "target_branch": "main",
    "title": "Accept vouchers",
    "description": "Customers can pay with a voucher.",
    "author": "ada",
    "commit_messages": ["Accept vouchers"],
    "file": "shop/vouchers.py",
    "path": "shop/vouchers.lock",
    "why": "it is generated",
    "line": 39,
    "end_line": 40,
    "comment": "The default is made once and shared by all calls.",
    "suggestion": "def cleaned(codes, seen=None):\n    seen = seen or set()",
    "suggestion_start": 39,
    "suggestion_end": 40,
    "line_text": "def cleaned(codes, seen=set()):",
    "old_path": "shop/vouchers.py",
    "new_path": "shop/vouchers.py",
    "old_line": None,
    "new_line": 40,
    "line_code": "8cb2237d0679ca88db6464eac60da96345513964_30_40",
    "start": None,
    "summary": "Adds vouchers; one default is shared by all calls.",
    "files_reviewed": ["shop/vouchers.py"],
    "model": "gpt-5",
    "input_tokens": 8118,
    "output_tokens": 842,
    "cache_read_tokens": 4096,
    "cost": 0.0,
    "seconds": 4.2,
    "stages": {"clone": 0.5, "start": 0.6, "session": 4.2},
    "kind": "review",
    "outcome": "posted",
    "reason": "timeout",
    "detail": "",
    "timeout": 1800,
    "max_findings": 200,
    "max_launches": 3,
    "summary_note_id": 1033,
    "discussion_ids": ["6a9c1750b37d513a43987b574953fceb50b03ce7"],
    "note_id": 1031,
    "discussion_id": "6a9c1750b37d513a43987b574953fceb50b03ce7",
    "author_id": 5,
    "author_username": "ada",
    "text": "/copilot add a test for expired vouchers",
    "created_at": _MOMENT,
    "issue_key": "SHOP-123",
    "key": "SHOP-123",
    "change_id": "10457",
    "status": "AI Ready",
    "account_name": "Ada Byron",
    "account_id": "",
    "user_id": 5,
    "name": "ada",
    "access_level": 30,
    "rule": "Developer may ask for code",
    "needed": "",
    "labels": [],
    "issue_type": "Story",
    "restricted": False,
    "instruction": "add a test for expired vouchers",
    "branch": "vouchers",
    "never_to": ["main"],
    "subject": "Test expired vouchers",
    "files": ["tests/test_vouchers.py"],
    "left_out": [],
    "patch": "ZGlmZiAtLWdpdCBhL3Rlc3RzL3Rlc3Rfdm91Y2hlcnMucHk=",
    "artifact": "coding-42-7-n1031.3q2-7w",
    "size": 700_000,
    "digest": "SHA-256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=",
    "answer": "They end at midnight of the shop's own time zone.",
    "help": False,
    "next_task_id": "",
    "commit_sha": "",
    "merge_request_iid": 0,
    "draft": False,
    "updated_at": _MOMENT,
    "expires_at": _MOMENT,
}
_BY_TYPE: dict[type[inspect.Type], Any] = {
    inspect.StrType: "text",
    inspect.IntType: 1,
    inspect.FloatType: 1.5,
    inspect.BoolType: True,
    inspect.NoneType: None,
    inspect.DictType: {},
    inspect.DateTimeType: _MOMENT,
}
"""For fields that nobody gave an example."""


def example(kind: type[Any]) -> str:
    """JSON of an event of this type; raises `msgspec.ValidationError` if it were none."""
    event = msgspec.convert(_value(inspect.type_info(kind), ""), kind)
    return msgspec.json.format(msgspec.json.encode(event), indent=2).decode()


def _value(info: inspect.Type, name: str) -> Any:
    match info:
        case inspect.StructType(tag=tag, tag_field=field, fields=fields):
            values = {one.encode_name: _value(one.type, one.name) for one in fields}
            return ({field: tag} if field else {}) | values
        case inspect.LiteralType(values=values) if BY_NAME.get(name) not in values:
            return values[0]
    if name in BY_NAME:
        return BY_NAME[name]
    match info:
        case inspect.VarTupleType(item_type=item):
            return [_value(item, "")]
        case inspect.UnionType(types=types):
            return _value(types[0], "")
    return _BY_TYPE[type(info)]
