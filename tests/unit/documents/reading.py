"""Reads back the YAML that `documents.yaml` writes, and nothing more of YAML."""

from __future__ import annotations

import json
import re
from typing import Any

_ENTRY = re.compile(r'("(?:[^"\\]|\\.)*"|[A-Za-z_][\w-]*):(?: (.*))?')
Lines = list[tuple[int, str]]


def load(text: str) -> Any:
    lines = [
        (len(line) - len(line.lstrip()), line.lstrip())
        for line in text.splitlines()
        if not line.startswith("#")
    ]
    value, rest = _value(lines)
    assert rest == []
    return value


def _value(lines: Lines) -> tuple[Any, Lines]:
    indent, first = lines[0]
    if first.startswith("- "):
        items = []
        while lines and lines[0][0] == indent and lines[0][1].startswith("- "):
            lines[0] = (indent + 2, lines[0][1][2:])
            item, lines = _value(lines)
            items.append(item)
        return items, lines
    if _ENTRY.fullmatch(first) is None:
        return json.loads(first), lines[1:]
    found: dict[str, Any] = {}
    while lines and lines[0][0] == indent and (match := _ENTRY.fullmatch(lines[0][1])):
        key = json.loads(match[1]) if match[1][0] == '"' else match[1]
        assert key not in found
        lines = lines[1:]
        if match[2] is None:
            assert lines[0][0] > indent
            found[key], lines = _value(lines)
        else:
            found[key] = json.loads(match[2])
    return found, lines
