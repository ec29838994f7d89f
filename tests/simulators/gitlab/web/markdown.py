"""A small part of markdown as safe HTML: enough for comments and summaries.

Everything is escaped first. HTML comments are not shown; `<details>` and `<summary>` work, other
tags are shown as text. Called by the merge request page. Pure.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})\s*([^`\n]*)$")
_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*$")
_ITEM = re.compile(r"^(\s*)([-*+]|\d+[.)])\s+(.*)$")
_TABLE_LINE = re.compile(r"^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$")
_RULE = re.compile(r"^ {0,3}([-*_])(?:\s*\1){2,}\s*$")
# A line break beside a folding tag comes from how the text is written, not from its author.
_FOLDED = re.compile(r"(?:<br>\n)?(</?(?:details|summary)>)(?:<br>\n)?")
_DETAILS = re.compile(r"&lt;(/?(?:details|summary|br|sub|sup|kbd))\s*/?&gt;")
_ADDRESS = re.compile(r"(?<![\w\"'=])(https?://[^\s<>\0]+[\w/])")
_ENTITY = re.compile(r"&amp;(#\d{1,7}|#x[0-9a-fA-F]{1,6}|[a-zA-Z]{2,20});")
_EMOJI = {
    "warning": "⚠️",
    "x": "❌",
    "no_entry": "⛔",
    "rotating_light": "🚨",
    "information_source": "ℹ️",  # noqa: RUF001  # the emoji itself
    "white_check_mark": "✅",
    "bulb": "💡",
    "bug": "🐛",
    "robot": "🤖",
    "eyes": "👀",
    "mag": "🔍",
    "memo": "📝",
    "hourglass": "⌛",
    "red_circle": "🔴",
    "yellow_circle": "🟡",
    "large_blue_circle": "🔵",
    "tada": "🎉",
}


def render(text: str, fence: Callable[[str, str], str | None] | None = None) -> str:
    """Return HTML; `fence` may draw a fenced block itself, from its info and content."""
    visible = _COMMENT.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _blocks(visible.split("\n"), fence or (lambda _info, _content: None))


def _blocks(lines: list[str], fence: Callable[[str, str], str | None]) -> str:
    out: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        start = _FENCE.match(line)
        if start:
            at, block = _fenced(lines, at, start, fence)
        elif not line.strip():
            at, block = at + 1, ""
        elif heading := _HEADING.match(line):
            level = min(len(heading[1]) + 1, 6)
            at, block = at + 1, f"<h{level}>{inline(heading[2])}</h{level}>"
        elif _RULE.match(line):
            at, block = at + 1, "<hr>"
        elif line.lstrip().startswith(">"):
            at, block = _quote(lines, at, fence)
        elif _ITEM.match(line):
            at, block = _list(lines, at, fence)
        elif "|" in line and at + 1 < len(lines) and _TABLE_LINE.match(lines[at + 1]):
            at, block = _table(lines, at)
        else:
            at, block = _paragraph(lines, at)
        out.append(block)
    return "\n".join(part for part in out if part)


def _fenced(
    lines: list[str], at: int, start: re.Match[str], fence: Callable[[str, str], str | None]
) -> tuple[int, str]:
    mark, info = start[1], start[2].strip()
    end = at + 1
    while end < len(lines):
        closing = _FENCE.match(lines[end])
        if closing and closing[1].startswith(mark) and not closing[2].strip():
            break
        end += 1
    content = "\n".join(lines[at + 1 : end])
    drawn = fence(info, content)
    plain = f'<pre class="code"><code>{html.escape(content)}</code></pre>'
    return end + 1, plain if drawn is None else drawn


def _quote(lines: list[str], at: int, fence: Callable[[str, str], str | None]) -> tuple[int, str]:
    inside: list[str] = []
    while at < len(lines) and lines[at].lstrip().startswith(">"):
        inside.append(lines[at].lstrip()[1:].removeprefix(" "))
        at += 1
    return at, f"<blockquote>{_blocks(inside, fence)}</blockquote>"


def _list(lines: list[str], at: int, fence: Callable[[str, str], str | None]) -> tuple[int, str]:
    first = _ITEM.match(lines[at])
    indent, ordered = (len(first[1]), first[2][0].isdigit()) if first else (0, False)
    items: list[list[str]] = []
    while at < len(lines):
        item = _ITEM.match(lines[at])
        if item and len(item[1]) <= indent:
            if item[2][0].isdigit() != ordered:
                break
            items.append([item[3]])
        elif lines[at].strip() and lines[at].startswith(" " * (indent + 2)):
            items[-1].append(lines[at][indent + 2 :])
        elif not lines[at].strip() and _continues(lines, at + 1, indent):
            items[-1].append("")
        else:
            break
        at += 1
    tag = "ol" if ordered else "ul"
    inner = "".join(f"<li>{_item(item, fence)}</li>" for item in items)
    return at, f"<{tag}>{inner}</{tag}>"


def _continues(lines: list[str], at: int, indent: int) -> bool:
    following = lines[at] if at < len(lines) else ""
    return bool(_ITEM.match(following)) or following.startswith(" " * (indent + 2))


def _item(lines: list[str], fence: Callable[[str, str], str | None]) -> str:
    body = _blocks(lines, fence)
    single = body.startswith("<p>") and body.count("<p>") == 1
    return body.replace("<p>", "", 1).replace("</p>", "", 1) if single else body


def _table(lines: list[str], at: int) -> tuple[int, str]:
    head = _cells(lines[at])
    at += 2
    rows: list[list[str]] = []
    while at < len(lines) and "|" in lines[at] and lines[at].strip():
        rows.append(_cells(lines[at]))
        at += 1
    top = "".join(f"<th>{inline(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{inline(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return at, f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _cells(line: str) -> list[str]:
    parts = re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))
    return [part.strip().replace("\\|", "|") for part in parts]


def _paragraph(lines: list[str], at: int) -> tuple[int, str]:
    inside: list[str] = []
    while at < len(lines) and lines[at].strip():
        starts = (_FENCE, _HEADING, _ITEM)
        if inside and any(start.match(lines[at]) for start in starts):
            break
        inside.append(lines[at].strip())
        at += 1
    text = inline("\n".join(inside)).replace("\n", "<br>\n")
    if _FOLDED.search(text):
        return at, _FOLDED.sub(r"\1", text)
    return at, f"<p>{text}</p>"


def inline(text: str) -> str:
    """Draw one run of text: code, bold, italic, links, emoji; everything else escaped."""
    kept: list[str] = []

    def keep(drawn: str) -> str:
        kept.append(drawn)
        return f"\0{len(kept) - 1}\0"

    text = text.replace("\0", "")
    text = re.sub(
        r"(?<!\\)(`+)(.+?)(?<!`)\1(?!`)",
        lambda m: keep(f"<code>{html.escape(m[2].strip())}</code>"),
        text,
        flags=re.DOTALL,
    )
    text = re.sub(r"\\([!-/:-@\[-`{-~])", lambda m: keep(html.escape(m[1])), text)
    text = _ENTITY.sub(r"&\1;", html.escape(text))
    text = _DETAILS.sub(r"<\1>", text)
    text = re.sub(r"\[([^\]\n]+)\]\(([^)\s]+)\)", lambda m: keep(_link(m[1], m[2])), text)
    text = _ADDRESS.sub(lambda m: keep(_link(m[1], m[1])), text)
    text = re.sub(r"\*\*(.+?)\*\*|__(.+?)__", lambda m: f"<strong>{m[1] or m[2]}</strong>", text)
    text = re.sub(r"(?<![\w*])\*([^*\s][^*]*?)\*(?![\w*])", r"<em>\1</em>", text)
    text = re.sub(r"(?<![\w_])_([^_\s][^_]*?)_(?![\w_])", r"<em>\1</em>", text)
    text = re.sub(r"~~(.+?)~~", r"<del>\1</del>", text)
    text = re.sub(r":([a-z_]+):", lambda m: _EMOJI.get(m[1], m[0]), text)
    for _ in range(3):  # a link may hold code, code holds nothing
        text = re.sub(r"\0(\d+)\0", lambda m: kept[int(m[1])], text)
    return text


def _link(label: str, target: str) -> str:
    """Both are escaped already; only web addresses and places on this server are linked."""
    if not re.match(r"(?:https?://|/(?!/)|#)", target):
        return f"{label} ({target})"
    return f'<a href="{target}" rel="noopener nofollow">{label}</a>'
