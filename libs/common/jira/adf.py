"""Atlassian Document Format as text that keeps lists, code, tables and links. Pure.

Called by `reading` for descriptions and comments. Knows every node type of the published schema;
a node that is unknown keeps the text inside it. Never raises, whatever it is given: depth, number
of nodes and length are bounded, and what lies deeper is flattened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from libs.common.jira.adf_inline import (
    INLINE,
    attribute,
    children,
    inline_text,
    kind_of,
    plain_text,
)

LONGEST = 64 * 1024
"""Characters of the whole text; an event does not take more."""
DEEPEST = 20
"""Blocks inside blocks; what is deeper is flattened."""
MOST_NODES = 20_000
MOST_LINES = 5_000
"""Of one block with all in it; each level of a list or quote indents every line again."""
CUT = "\n[… cut]"

Node = dict[str, Any]
Lines = list[str]
Render = Callable[[Node, "_Walk", int], Lines]


class _Walk:
    """What is left of the nodes that are looked at."""

    def __init__(self) -> None:
        self.left = MOST_NODES

    def takes(self) -> bool:
        self.left -= 1
        return self.left >= 0


def to_text(document: Any, longest: int = LONGEST) -> str:
    """The text of a document, at most `longest` characters; a string (Data Center) as it is."""
    text = document if isinstance(document, str) else "\n".join(_blocks([document], _Walk(), 0))
    text = text.replace("\r\n", "\n").encode(errors="replace").decode().strip()
    return text if len(text) <= longest else text[: max(longest - len(CUT), 0)] + CUT[:longest]


def _block(node: Node, walk: _Walk, depth: int) -> Lines:
    if depth > DEEPEST:
        return plain_text(node).split("\n")
    return _RENDER.get(kind_of(node), _unknown)(node, walk, depth + 1)


def _blocks(nodes: list[Any], walk: _Walk, depth: int, *, tight: bool = False) -> Lines:
    """Blocks under each other, with an empty line between them unless `tight`.

    Neighbours that are inline, as an unknown parent may hold, share a line.
    """
    lines: Lines = []
    line: list[Node] = []
    for node in nodes:
        if not isinstance(node, dict) or not walk.takes():
            continue
        if kind_of(node) in INLINE:
            line.append(node)
            continue
        _put(lines, inline_text(line).split("\n") if line else [], tight=tight)
        line = []
        _put(lines, _block(node, walk, depth), tight=tight)
    _put(lines, inline_text(line).split("\n") if line else [], tight=tight)
    return lines


def _put(lines: Lines, more: Lines, *, tight: bool) -> None:
    if not any(line.strip() for line in more):
        return
    if lines and not tight:
        lines.append("")
    lines += more
    if len(lines) > MOST_LINES:
        lines[MOST_LINES:] = [CUT.strip()]


def _container(node: Node, walk: _Walk, depth: int) -> Lines:
    return _blocks(children(node), walk, depth)


def _unknown(node: Node, walk: _Walk, depth: int) -> Lines:
    inside = _blocks(children(node), walk, depth)
    own = node.get("text")
    return [*(own.split("\n") if isinstance(own, str) else ()), *inside]


def _paragraph(node: Node, walk: _Walk, _: int) -> Lines:
    nodes = [child for child in children(node) if isinstance(child, dict) and walk.takes()]
    return inline_text(nodes).split("\n")


def _heading(node: Node, walk: _Walk, depth: int) -> Lines:
    level = node.get("attrs", {}).get("level") if isinstance(node.get("attrs"), dict) else 1
    marks = "#" * (level if isinstance(level, int) and 1 <= level <= 6 else 1)
    return [f"{marks} {' '.join(_paragraph(node, walk, depth))}"]


def _code_block(node: Node, _: _Walk, __: int) -> Lines:
    return _fenced(plain_text(node), attribute(node, "language"))


def _fenced(code: str, language: str) -> Lines:
    fence = "```"
    while fence in code:
        fence += "`"
    named = language if language.replace("+", "").replace("#", "").isalnum() else ""
    return [f"{fence}{named}", *code.split("\n"), fence]


def _quote(node: Node, walk: _Walk, depth: int) -> Lines:
    return [f"> {line}".rstrip() for line in _blocks(children(node), walk, depth)]


def _panel(node: Node, walk: _Walk, depth: int) -> Lines:
    name = attribute(node, "panelType").capitalize() or "Note"
    return [f"> **{name}:**", *_quote(node, walk, depth)]


def _expand(node: Node, walk: _Walk, depth: int) -> Lines:
    title = attribute(node, "title")
    lines = [f"**{title}**"] if title else []
    _put(lines, _blocks(children(node), walk, depth), tight=False)
    return lines


def _bullets(node: Node, walk: _Walk, depth: int) -> Lines:
    return _items(node, walk, depth, lambda _: "- ")


def _numbers(node: Node, walk: _Walk, depth: int) -> Lines:
    attrs = node.get("attrs")
    order = attrs.get("order") if isinstance(attrs, dict) else None
    start = order if isinstance(order, int) and 0 <= order < 1_000_000 else 1
    return _items(node, walk, depth, lambda number: f"{start + number}. ")


def _items(node: Node, walk: _Walk, depth: int, mark: Callable[[int], str]) -> Lines:
    lines: Lines = []
    number = 0
    for item in children(node):
        if not isinstance(item, dict) or not walk.takes():
            continue
        if kind_of(item) in _OWN_MARK:
            lines += _block(item, walk, depth)
            continue
        lines += _hung(mark(number), _blocks([*_inside(item)], walk, depth, tight=True))
        number += 1
    return lines


def _inside(item: Node) -> list[Any]:
    return children(item) if kind_of(item) == "listItem" else [item]


def _hung(mark: str, lines: Lines) -> Lines:
    """Lines after a mark, the later ones under the first."""
    indent = " " * len(mark)
    first, *rest = lines or [""]
    return [(mark + first).rstrip(), *((indent + line).rstrip() for line in rest)]


def _task_item(node: Node, walk: _Walk, depth: int) -> Lines:
    done = attribute(node, "state").upper() == "DONE"
    lines = _blocks(children(node), walk, depth, tight=True)
    return _hung("- [x] " if done else "- [ ] ", lines)


def _decision_item(node: Node, walk: _Walk, depth: int) -> Lines:
    decided = attribute(node, "state").upper() == "DECIDED"
    lines = _blocks(children(node), walk, depth, tight=True)
    return _hung("- Decision: " if decided else "- To decide: ", lines)


def _nested_items(node: Node, walk: _Walk, depth: int) -> Lines:
    """Items of a task or decision list; a list among them is nested one step."""
    lines: Lines = []
    for item in children(node):
        if not isinstance(item, dict) or not walk.takes():
            continue
        indent = "  " if kind_of(item) in {"taskList", "decisionList"} else ""
        lines += [(indent + line).rstrip() for line in _block(item, walk, depth)]
    return lines


def _table(node: Node, walk: _Walk, depth: int) -> Lines:
    rows = [
        [_cell(cell, walk, depth) for cell in children(row) if isinstance(cell, dict)]
        for row in children(node)
        if isinstance(row, dict) and walk.takes()
    ]
    rows = [row for row in rows if row]
    if not rows:
        return []
    width = max(map(len, rows))
    drawn = [f"| {' | '.join(row + [''] * (width - len(row)))} |" for row in rows]
    return [drawn[0], f"|{' --- |' * width}", *drawn[1:]]


def _cell(node: Node, walk: _Walk, depth: int) -> str:
    if not walk.takes():
        return ""
    lines = _blocks(children(node), walk, depth, tight=True)
    return "<br>".join(lines).replace("|", "\\|")


def _rule(_: Node, __: _Walk, ___: int) -> Lines:
    return ["---"]


def _media(node: Node, _: _Walk, __: int) -> Lines:
    return [inline_text([{**node, "type": "mediaInline"}])]


def _card(node: Node, _: _Walk, __: int) -> Lines:
    return [inline_text([{**node, "type": "inlineCard"}])]


def _extension(node: Node, walk: _Walk, depth: int) -> Lines:
    name = attribute(node, "text") or attribute(node, "extensionKey") or "extension"
    lines = [f"[{name}]"]
    _put(lines, _blocks(children(node), walk, depth), tight=False)
    return lines


_OWN_MARK = {"taskItem", "blockTaskItem", "decisionItem"}
_RENDER: dict[str, Render] = {
    "blockCard": _card,
    "blockTaskItem": _task_item,
    "blockquote": _quote,
    "bodiedExtension": _extension,
    "bodiedSyncBlock": _container,
    "bulletList": _bullets,
    "caption": _paragraph,
    "codeBlock": _code_block,
    "decisionItem": _decision_item,
    "decisionList": _nested_items,
    "doc": _container,
    "embedCard": _card,
    "expand": _expand,
    "extension": _extension,
    "heading": _heading,
    "layoutColumn": _container,
    "layoutSection": _container,
    "listItem": _container,
    "media": _media,
    "mediaGroup": _container,
    "mediaSingle": _container,
    "nestedExpand": _expand,
    "orderedList": _numbers,
    "panel": _panel,
    "paragraph": _paragraph,
    "rule": _rule,
    "syncBlock": _extension,
    "table": _table,
    "tableCell": _container,
    "tableHeader": _container,
    "tableRow": _container,
    "taskItem": _task_item,
    "taskList": _nested_items,
}
BLOCKS = frozenset(_RENDER)
"""The block types that are known; with `INLINE` these are all of the schema."""
