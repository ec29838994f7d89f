"""How GitLab reads a text, written independently of the firewall: commands, and rendered parts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

_COMMAND = re.compile(r"(?:[\s>]|[-*+]\s|\d{1,9}[.)]\s)*/[A-Za-z_]")
_LIVE = re.compile(
    r"@[\w.]|#\w|!\d|~[\w\"]|%[\w\"{]|&\d|\$|\^\w|GL-\d|://|\bwww\.\w|\[\s*_?toc", re.IGNORECASE
)


def commands(text: str) -> list[str]:
    """Lines with a quick action, as GitLab's older extractor sees them.

    It knows one kind of fence: from a line that starts with three backticks, with something
    between, to the next line that is exactly three.
    """
    text = text.replace("\r", "")
    found, lines, at = [], text.split("\n"), 0
    while at < len(lines):
        if lines[at].startswith("```"):
            first = at + 1 if lines[at] != "```" else at + 2
            close = next((n for n in range(first, len(lines)) if lines[n] == "```"), None)
            if close is not None:
                at = close + 1
                continue
        if _COMMAND.match(lines[at]):
            found.append(lines[at])
        at += 1
    return found


def tokens(text: str) -> Iterator[Token]:
    """Every block and inline token of the text; escaped characters are tokens of their own."""
    parser = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
    parser.disable("text_join")
    for block in parser.parse(text):
        yield block
        yield from block.children or []


def live_parts(text: str, allowed: str) -> list[str]:
    """What GitLab would act on outside code: references, addresses, html, images, other links."""
    ours = re.compile(re.escape(allowed) + r"(?![\w.@:-])[^\s<>`]*")
    live = []
    for token in tokens(text):
        if token.type in {"html_block", "html_inline", "image"}:
            live.append(token.content or token.type)
        elif token.type == "link_open" and not ours.match(str(token.attrs["href"])):
            live.append(str(token.attrs["href"]))
        elif token.type == "text":
            live += [match[0] for match in _LIVE.finditer(ours.sub("", token.content))]
    return live
