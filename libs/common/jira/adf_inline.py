"""Text, marks, mentions and the other inline nodes of Atlassian Document Format. Pure.

Called by `adf` for the inside of paragraphs, and for what lies too deep.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

LONGEST_ATTRIBUTE = 2_000
LONGEST_TEXT = 64 * 1024
MOST_PLAIN = 20_000
"""Nodes that are looked at where everything is flattened."""

Node = dict[str, Any]
_EMPHASIS = (("strong", "**"), ("em", "*"), ("strike", "~~"))


def kind_of(node: Node) -> str:
    kind = node.get("type")
    return kind if isinstance(kind, str) else ""


def children(node: Node) -> list[Any]:
    found = node.get("content")
    return found if isinstance(found, list) else []


def attribute(node: Node, name: str) -> str:
    """An attribute as one line of text; empty when there is none."""
    attrs = node.get("attrs")
    value = attrs.get(name) if isinstance(attrs, dict) else None
    if isinstance(value, str):
        return " ".join(value[:LONGEST_ATTRIBUTE].split())
    return _digits(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def inline_text(nodes: list[Node]) -> str:
    """Inline nodes as one text; a hard break is a line end."""
    return "".join(INLINE.get(kind_of(node), plain_text)(node) for node in nodes)


def plain_text(node: Node) -> str:
    """All text below a node, without a recursion that a hostile document could exhaust."""
    pieces: list[str] = []
    waiting: list[Any] = [node]
    for _ in range(MOST_PLAIN):
        if not waiting:
            break
        current = waiting.pop()
        if not isinstance(current, dict):
            continue
        own = current.get("text")
        if isinstance(own, str):
            pieces.append(own)
        elif kind_of(current) == "hardBreak":
            pieces.append("\n")
        waiting += reversed(children(current))
    return "".join(pieces)


def _text(node: Node) -> str:
    text = node.get("text")
    if not isinstance(text, str) or not text:
        return ""
    text = text[:LONGEST_TEXT]
    marks = {kind_of(mark): mark for mark in _marks(node)}
    shown = _code(text) if "code" in marks else text
    if text.strip() and "code" not in marks:
        shown = _emphasized(shown, marks)
    if "link" in marks:
        return _linked(text, shown, attribute(marks["link"], "href"))
    return shown


def _marks(node: Node) -> list[Node]:
    found = node.get("marks")
    return [mark for mark in found if isinstance(mark, dict)] if isinstance(found, list) else []


def _emphasized(text: str, marks: dict[str, Node]) -> str:
    core = text.strip()
    start = text.index(core)
    before, after = text[:start], text[start + len(core) :]
    for name, sign in _EMPHASIS:
        if name in marks:
            core = f"{sign}{core}{sign}"
    return before + core + after


def _code(text: str) -> str:
    ticks = "`"
    while ticks in text:
        ticks += "`"
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def _linked(text: str, shown: str, href: str) -> str:
    """With its address, so that nobody is sent elsewhere than the text says."""
    if not href or href == text.strip():
        return shown
    return f"[{shown}]({href})"


def _mention(node: Node) -> str:
    return "@" + (attribute(node, "text") or attribute(node, "id")).lstrip("@")


def _emoji(node: Node) -> str:
    return attribute(node, "text") or attribute(node, "shortName")


def _date(node: Node) -> str:
    stamp = attribute(node, "timestamp")
    try:
        return datetime.fromtimestamp(int(stamp) / 1000, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return stamp


def _status(node: Node) -> str:
    text = attribute(node, "text")
    return f"[{text}]" if text else ""


def _card(node: Node) -> str:
    attrs = node.get("attrs")
    linked = attrs.get("data") if isinstance(attrs, dict) else None
    inner = {"attrs": linked}
    return attribute(node, "url") or attribute(inner, "url") or attribute(inner, "name")


def _media(node: Node) -> str:
    kind = attribute(node, "type")
    named = attribute(node, "alt") or attribute(node, "url") or attribute(node, "id")
    word = kind if kind in {"image", "file", "link"} else "image" if kind == "external" else "media"
    return f"[{word}: {named}]" if named else f"[{word}]"


def _placeholder(node: Node) -> str:
    text = attribute(node, "text")
    return f"[{text}]" if text else ""


def _inline_extension(node: Node) -> str:
    return f"[{attribute(node, 'text') or attribute(node, 'extensionKey') or 'extension'}]"


def _digits(value: int) -> str:
    # Python refuses to print integers of thousands of digits.
    return str(value) if -(10**18) < value < 10**18 else ""


INLINE: dict[str, Callable[[Node], str]] = {
    "date": _date,
    "emoji": _emoji,
    "hardBreak": lambda _: "\n",
    "image": _media,
    "inlineCard": _card,
    "inlineExtension": _inline_extension,
    "mediaInline": _media,
    "mention": _mention,
    "placeholder": _placeholder,
    "status": _status,
    "text": _text,
}
