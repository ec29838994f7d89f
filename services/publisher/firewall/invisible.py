"""Characters that a reader cannot see, and line ends. First step of the firewall (SR-24, SR-28)."""

from __future__ import annotations

import re
import unicodedata

_LINE_ENDS = re.compile("\r\n|[\r\u0085\u2028\u2029]")
# Not format characters by category, but drawn as nothing: fillers, variation selectors, blanks.
_BLANKS = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(chr(c) for c in range(0xFE00, 0xFE0F))
    + "".join(chr(c) for c in range(0xE0100, 0xE01F0))
)
_EMOJI_STYLE = re.compile("\ufe0f{2,}")
_KEPT_CONTROLS = "\n\t"
_SURROGATE = "Cs"
_GONE = frozenset({"Cf", "Cc", "Co"})


def normal_lines(text: str) -> str:
    """Every line end as a newline: GitLab drops carriage returns before it looks for commands."""
    return _LINE_ENDS.sub("\n", text)


def visible(text: str) -> str:
    """The text without zero-width, bidi, tag, filler and control characters."""
    if text.isascii() and text.isprintable():
        return text
    table = {ord(c): _replacement(c) for c in set(text)}
    return _EMOJI_STYLE.sub("\ufe0f", text.translate(table))


def _replacement(char: str) -> str:
    category = unicodedata.category(char)
    if category == _SURROGATE:
        return "\ufffd"
    if char in "\x0b\x0c":
        return " "
    if char in _BLANKS or (category in _GONE and char not in _KEPT_CONTROLS):
        return ""
    return char
