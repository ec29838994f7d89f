"""The part of YAML that `mcp-servers` in an agent's front matter is written in. Pure.

Called by `servers`. Mappings and lists by indentation, quoted and plain words, lists and empty
mappings in brackets; everything else (anchors, tags, blocks of text) is refused, not guessed.
"""

from __future__ import annotations

import json
import re
from typing import Any

_KEY = re.compile(r"""("[^"]*"|'[^']*'|[A-Za-z0-9_][\w./-]*)\s*:(?:[ ]+(.*))?""")
_PARTS = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,'"\[\]{}]*)\s*(,|$)""")
_STRANGE = "&*!|>%@`{}]?"
DEEPEST = 8
Lines = list[tuple[int, str]]


def read(text: str) -> Any:
    """The text's mappings, lists and words, all words as text; raises `ValueError`."""
    lines: Lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        indent = line[: len(line) - len(line.lstrip())]
        if "\t" in indent:
            raise ValueError(f"line {number} is indented by a tab")
        lines.append((len(indent), bare))
    if not lines:
        return {}
    node, rest = _node(lines, 0)
    if rest:
        raise ValueError(f"cannot read {rest[0][1][:60]!r} at this indentation")
    return node


def _node(lines: Lines, depth: int) -> tuple[Any, Lines]:
    if depth > DEEPEST:
        raise ValueError("is nested too deeply")
    return _list(lines) if lines[0][1].startswith("- ") else _mapping(lines, depth)


def _list(lines: Lines) -> tuple[list[Any], Lines]:
    indent, found = lines[0][0], []
    while lines and lines[0][0] == indent and lines[0][1].startswith("- "):
        found.append(_word(lines[0][1][2:]))
        lines = lines[1:]
    return found, lines


def _mapping(lines: Lines, depth: int) -> tuple[dict[str, Any], Lines]:
    indent = lines[0][0]
    found: dict[str, Any] = {}
    while lines and lines[0][0] == indent:
        match = _KEY.fullmatch(lines[0][1])
        if match is None:
            raise ValueError(f"{lines[0][1][:60]!r} is no 'name: value'")
        key, value, lines = match[1].strip("'\""), match[2], lines[1:]
        if value and not value.startswith("#"):
            found[key] = _word(value)
        elif lines and (lines[0][0] > indent or _is_list_at(lines[0], indent)):
            found[key], lines = _node(lines, depth + 1)
        else:
            found[key] = ""
    return found, lines


def _is_list_at(line: tuple[int, str], indent: int) -> bool:
    """A list may stand right below its name, without more indentation."""
    return line[0] == indent and line[1].startswith("- ")


def _word(text: str) -> Any:
    text = text.strip()
    if text[:1] in {"'", '"'}:
        return _quoted(text)
    plain = re.split(r"\s#", text, maxsplit=1)[0].strip()
    if plain.startswith("["):
        return _words_in_brackets(plain)
    if plain == "{}":
        return {}
    if plain[:1] in _STRANGE or _KEY.fullmatch(plain):
        raise ValueError(f"{plain[:60]!r} is more YAML than is read here")
    return plain


def _quoted(text: str) -> str:
    match = _PARTS.match(re.sub(r"(['\"])\s+#.*$", r"\1", text))
    if match is None or match[2] == ",":
        raise ValueError(f"{text[:60]!r} is not one quoted text")
    return str(json.loads(match[1])) if text[0] == '"' else match[1][1:-1].replace("''", "'")


def _words_in_brackets(text: str) -> list[Any]:
    if not text.endswith("]"):
        raise ValueError(f"{text[:60]!r} does not end on its line")
    inside, found = text[1:-1].strip(), []
    while inside:
        match = _PARTS.match(inside)
        if match is None or not match[1]:
            raise ValueError(f"{text[:60]!r} is no list of words")
        found.append(_word(match[1]))
        inside = inside[match.end() :]
    return found
