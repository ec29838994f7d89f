"""Plain data as YAML: mappings and lists by indentation, every other value as JSON. Pure.

Called by `asyncapi`. JSON scalars are YAML, so nothing has to be guessed about quoting.
"""

from __future__ import annotations

import json
import re
from typing import Any

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_BREAKS = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")
"""Characters that JSON leaves as they are and YAML may not."""
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def text(value: Any) -> str:
    """The document, with a line break at its end."""
    return "\n".join(_lines(value, 0)) + "\n"


def _lines(value: Any, depth: int) -> list[str]:
    pad = "  " * depth
    if isinstance(value, dict) and value:
        return [
            line
            for key, inner in value.items()
            for line in _with(f"{pad}{_key(key)}:", inner, depth)
        ]
    if isinstance(value, list) and value:
        return [line for inner in value for line in _item(pad, inner, depth)]
    return [pad + _scalar(value)]


def _with(start: str, inner: Any, depth: int) -> list[str]:
    if isinstance(inner, (dict, list)) and inner:
        return [start, *_lines(inner, depth + 1)]
    return [f"{start} {_scalar(inner)}"]


def _item(pad: str, inner: Any, depth: int) -> list[str]:
    first, *rest = _lines(inner, depth + 1)
    return [f"{pad}- {first.lstrip()}", *rest]


def _key(key: str) -> str:
    plain = _PLAIN_KEY.fullmatch(key) and key.lower() not in _WORDS
    return key if plain else _scalar(key)


def _scalar(value: Any) -> str:
    written = json.dumps(value, ensure_ascii=False)
    return _BREAKS.sub(lambda match: f"\\u{ord(match[0]):04x}", written)
