r"""What GitLab would turn into a link, a notification or a cross reference (SR-25).

Called by `inline` for text outside code. A backslash is GitLab's own way to write the character
itself (`EscapedCharFilter`); an HTML entity would not do, it is decoded before references are
looked for.
"""

from __future__ import annotations

import re

CHARACTERS = "@#!~%&$^*"
_MENTION = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_./-]*")
_NEXT = {
    "#": re.compile(r"[\w\"']"),
    "!": re.compile(r"\d"),
    "~": re.compile(r"\S"),  # a label, or a fence of tildes
    "%": re.compile(r"[\w\"'{?.&-]"),
    "&": re.compile(r"[\w#\"]"),
    "^": re.compile(r"\w"),
    "*": re.compile(r"iteration:", re.IGNORECASE),
}
_TOC = re.compile(r"[\s_\\]*toc", re.IGNORECASE)


def is_reference(line: str, at: int, allowed_mentions: frozenset[str]) -> bool:
    """Whether the character at `at` could start a reference GitLab resolves."""
    char = line[at]
    if char == "$":  # snippets and formulas
        return True
    if char == "@":
        return not _may_mention(line, at + 1, allowed_mentions)
    return _NEXT[char].match(line, at + 1) is not None


def _may_mention(line: str, at: int, allowed: frozenset[str]) -> bool:
    if at >= len(line) or line[at].isspace():
        return True
    name = _MENTION.match(line, at)
    return name is not None and name[0].rstrip("./-") in allowed


def opens_contents(line: str, at: int) -> bool:
    """`[TOC]` is looked for after rendering, so an escaped bracket alone does not stop it."""
    return _TOC.match(line, at) is not None
