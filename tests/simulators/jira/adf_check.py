"""Whether a document may be a comment: the part of the schema that comments use.

Called by `rest`; stricter than needed rather than laxer, so that a wrong document shows in tests.
"""

from __future__ import annotations

from typing import Any

_INLINE = {"text", "hardBreak", "mention", "emoji", "inlineCard", "date", "status"}
_BLOCK = {
    "paragraph", "heading", "codeBlock", "bulletList", "orderedList", "blockquote", "rule", "panel",
    "table", "expand", "taskList", "mediaSingle",
}  # fmt: skip
_INSIDE = {
    "doc": _BLOCK,
    "paragraph": _INLINE,
    "heading": _INLINE,
    "codeBlock": {"text"},
    "bulletList": {"listItem"},
    "orderedList": {"listItem"},
    "listItem": {"paragraph", "codeBlock", "bulletList", "orderedList"},
    "blockquote": {"paragraph", "bulletList", "orderedList", "codeBlock"},
    "panel": _BLOCK - {"panel", "table"},
}
_MARKS = {"strong", "em", "code", "link", "strike", "underline", "subsup", "textColor"}
_WITH_CODE = {"code", "link"}


def is_document(body: Any) -> bool:
    if not isinstance(body, dict) or body.get("type") != "doc" or body.get("version") != 1:
        return False
    return isinstance(body.get("content"), list) and _is_node(body)


def says_something(body: Any) -> bool:
    """Tell an empty document, which is refused, from one with any text or object."""
    if isinstance(body, dict):
        if body.get("type") in _INLINE - {"text", "hardBreak"}:
            return True
        return bool(str(body.get("text", "")).strip()) or says_something(body.get("content"))
    return isinstance(body, list) and any(map(says_something, body))


def _is_node(node: Any) -> bool:
    if not isinstance(node, dict):
        return False
    kind, content = node.get("type"), node.get("content", [])
    if kind == "text":
        return isinstance(node.get("text"), str) and node["text"] != "" and _marks_fit(node)
    if not isinstance(content, list):
        return False
    allowed = _INSIDE.get(str(kind))
    if allowed is not None and any(
        not isinstance(child, dict) or child.get("type") not in allowed for child in content
    ):
        return False
    if kind == "codeBlock" and any(child.get("marks") for child in content):
        return False
    return kind in {*_INSIDE, *_INLINE, *_BLOCK} and all(map(_is_node, content))


def _marks_fit(node: dict[str, Any]) -> bool:
    marks = node.get("marks", [])
    if not isinstance(marks, list) or any(not isinstance(mark, dict) for mark in marks):
        return False
    kinds = {mark.get("type") for mark in marks}
    links = [mark for mark in marks if mark.get("type") == "link"]
    if any(not str(link.get("attrs", {}).get("href", "")) for link in links):
        return False
    return kinds <= _MARKS and ("code" not in kinds or kinds <= _WITH_CODE)
