"""File names in a diff's headers: C-style quotes, spaces, prefixes. Called by `parse`."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r'\\([0-7]{3}|[abtnvfr"\\])')
_NAMED = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


def unquote(name: str) -> str:
    """The real name; a name in double quotes holds C escapes of its UTF-8 bytes."""
    if len(name) < 2 or not (name.startswith('"') and name.endswith('"')):
        return name
    out = bytearray()
    at = 1
    for match in _ESCAPE.finditer(name, 1, len(name) - 1):
        out += name[at : match.start()].encode("utf-8", "surrogateescape")
        code = match[1]
        out.append(_NAMED[code] if code in _NAMED else int(code, 8) & 0xFF)
        at = match.end()
    out += name[at:-1].encode("utf-8", "surrogateescape")
    return out.decode("utf-8", "surrogateescape")


def header_path(rest: str) -> str:
    """A `---` or `+++` name without prefix; `""` for /dev/null.

    Git ends a name that holds a space with a tab, so that time stamps cannot be confused with it.
    """
    name = unquote(rest.removesuffix("\r").removesuffix("\t"))
    return "" if name == "/dev/null" else name[2:]


def command_paths(rest: str) -> tuple[str, str]:
    """Old and new path of `diff --git <rest>`; only trusted where no other header names them.

    Unquoted names may hold spaces and even ` b/`. Without a rename both names are equal, so the
    middle is known from the length; git writes `rename from` otherwise.
    """
    if rest.startswith('"'):
        first = _QUOTED.match(rest)
        if first is not None:
            return unquote(first[0])[2:], unquote(rest[first.end() + 1 :])[2:]
    middle = (len(rest) - 1) // 2
    left, right = rest[:middle], rest[middle + 1 :]
    if len(left) > 2 and left[2:] == right[2:]:
        return left[2:], right[2:]
    left, _, right = rest.partition(" b/")
    if not right:
        left, _, right = rest.partition(' "b/')
        right = unquote('"b/' + right)[2:]
    return left[2:], right
