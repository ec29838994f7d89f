"""Our own comments as wiki markup, which Data Center takes instead of documents. Pure.

Called by `client` and `reading`. Whatever the markup gives a meaning is escaped, so a text makes
no mention (`[~name]`), no macro (`{…}`) and no image (`!…!`).
"""

from __future__ import annotations

import re
from typing import Any

from libs.common.jira.adf_inline import attribute, children, kind_of, plain_text

Node = dict[str, Any]
_SPECIAL = re.compile(r"[{}\[\]*_+^~!|?#&\\-]")
_ESCAPED = re.compile(r"\\([{}\[\]*_+^~!|?#-])|(&#92;|&amp;)")
# Two backslashes would be a line break, so a backslash becomes an entity, and then & must too.
_ENTITIES = {"\\": "&#92;", "&": "&amp;"}
_MEANT = {entity: character for character, entity in _ENTITIES.items()}


def from_adf(document: Node) -> str:
    """The paragraphs, code blocks and links that `adf_writing` makes."""
    blocks = [node for node in children(document) if isinstance(node, dict)]
    return "\n\n".join(map(_block, blocks))


def to_text(markup: str) -> str:
    """Markup without our escapes; the rest is left as people wrote it."""
    return _ESCAPED.sub(lambda found: found[1] or _MEANT[found[2]], markup)


def _block(node: Node) -> str:
    if kind_of(node) == "codeBlock":
        code = plain_text(node).replace("{noformat}", "{ noformat}")
        return f"{{noformat}}\n{code}\n{{noformat}}"
    return "".join(_inline(child) for child in children(node) if isinstance(child, dict))


def _inline(node: Node) -> str:
    if kind_of(node) == "hardBreak":
        return "\n"
    text = plain_text(node)
    found = node.get("marks")
    marks = {kind_of(mark): mark for mark in found} if isinstance(found, list) else {}
    if "link" in marks:
        href = attribute(marks["link"], "href").replace("|", "%7C").replace("]", "%5D")
        return f"[{href}]" if href == text else f"[{_escaped(text)}|{href}]"
    if "code" in marks:
        return f"{{{{{_escaped(text)}}}}}"
    return _escaped(text)


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda found: _ENTITIES.get(found[0]) or "\\" + found[0], text)
