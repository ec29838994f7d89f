"""Our own comments as Atlassian Document Format: paragraphs, links and code, nothing else. Pure.

Called by the publisher before `JiraClient.add_comment`. There is no way to a mention: an `@name`
stays plain text, so nobody is notified by what a model wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

LONGEST = 30_000
"""Characters; Jira takes 32,767 in a comment."""
LONGEST_HREF = 2_000
CUT = "…"

Node = dict[str, Any]
_FENCE = re.compile(r"^ {0,3}(`{3,})[ \t]*([\w+#.-]{0,40})[ \t]*$")
_INLINE = re.compile(
    r"(?P<ticks>`+)(?P<code>.+?)(?<!`)(?P=ticks)(?!`)"
    r"|\[(?P<text>[^\[\]\n]{1,500})\]\((?P<href>https?://[^\s()<>]{1,2000})\)"
    r"|(?P<url>https?://[^\s<>()\[\]\"'`]{1,2000})"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def from_text(text: str) -> Node:
    """A document of `text`: fenced code, `code`, [links](https://…) and bare addresses."""
    clean = _CONTROL.sub("", text.replace("\r\n", "\n")).encode(errors="replace").decode()
    short = clean if len(clean) <= LONGEST else clean[: LONGEST - 1] + CUT
    return {"type": "doc", "version": 1, "content": list(_blocks(short.split("\n")))}


def _blocks(lines: list[str]) -> Iterator[Node]:
    paragraph: list[str] = []
    position = 0
    while position < len(lines):
        line = lines[position]
        fence = _FENCE.match(line)
        if fence or not line.strip():
            yield from _paragraph(paragraph)
            paragraph = []
        if fence:
            end = _closing(lines, position + 1, fence[1])
            yield from _code_block(lines[position + 1 : end], fence[2])
            position = end
        elif line.strip():
            paragraph.append(line)
        position += 1
    yield from _paragraph(paragraph)


def _closing(lines: list[str], start: int, fence: str) -> int:
    for position in range(start, len(lines)):
        stripped = lines[position].strip()
        if len(stripped) >= len(fence) and not stripped.strip("`"):
            return position
    return len(lines)


def _code_block(lines: list[str], language: str) -> Iterator[Node]:
    code = "\n".join(lines)
    block: Node = {"type": "codeBlock"}
    if language:
        block["attrs"] = {"language": language}
    # An empty text node is none for Jira, and it refuses the whole comment.
    yield block | {"content": [{"type": "text", "text": code}]} if code else block


def _paragraph(lines: list[str]) -> Iterator[Node]:
    nodes: list[Node] = []
    for number, line in enumerate(lines):
        if number:
            nodes.append({"type": "hardBreak"})
        nodes += _inline(line.strip())
    if nodes:
        yield {"type": "paragraph", "content": nodes}


def _inline(line: str) -> Iterator[Node]:
    last = 0
    for found in _INLINE.finditer(line):
        yield from _text(line[last : found.start()])
        last = found.end()
        if found["code"]:
            yield from _text(found["code"].strip() or found["code"], {"type": "code"})
        elif found["href"]:
            yield from _text(found["text"], _link(found["href"]))
        else:
            url = found["url"].rstrip(".,;:!?")
            yield from _text(url, _link(url))
            last = found.start() + len(url)
    yield from _text(line[last:])


def _link(href: str) -> Node:
    return {"type": "link", "attrs": {"href": href[:LONGEST_HREF]}}


def _text(text: str, *marks: Node) -> Iterator[Node]:
    if text:
        node: Node = {"type": "text", "text": text}
        yield node | {"marks": list(marks)} if marks else node
