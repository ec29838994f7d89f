"""Which files of the repository a CI file runs: pure. Called by `orders` for the patch policy.

No YAML parser: what cannot be read for certain is still found by its looks, a path too many
protects a file too much, and a broken CI file must not stop a change (SR-32).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

DEFAULT = ".gitlab-ci.yml"
_MOST = 200
_INCLUDE = re.compile(r"""^(?:["']?include["']?)[ \t]*:(.*)$""")
_LOCAL = re.compile(r"""(?:^|[\s{,\[-])["']?local["']?[ \t]*:[ \t]*("[^"]*"|'[^']*'|[^\s,}\]#]+)""")
_ITEM = re.compile(r"""^[ \t]*-?[ \t]*("[^"]*"|'[^']*'|[^\s"'{}\[\],:#]+)[ \t]*,?[ \t]*(?:#.*)?$""")
_FLOW = re.compile(r"""[\[,][ \t]*("[^"]*"|'[^']*'|[^\s"'{}\[\],:#]+)[ \t]*(?=[,\]])""")


def config_path(ci_config_path: str) -> str:
    """The CI file's path, or the usual one where the project's is in another place altogether."""
    path = ci_config_path.strip()
    elsewhere = "@" in path or "://" in path
    return path.lstrip("/") if path and not elsewhere else DEFAULT


def local_includes(content: bytes) -> tuple[str, ...]:
    """The files that `include` names in the same repository, as paths or patterns."""
    lines = content.decode(errors="replace").splitlines()
    found = dict.fromkeys(path for line in _include_lines(lines) for path in _paths(line))
    return tuple(found)[:_MOST]


def _include_lines(lines: list[str]) -> Iterator[str]:
    inside = False
    for line in lines:
        start = _INCLUDE.match(line)
        if start:
            inside = True
            yield start[1]
        elif inside and line[:1] not in ("", " ", "\t", "-", "#", "]", "}"):
            inside = False
        elif inside:
            yield line


def _paths(line: str) -> Iterator[str]:
    item = _ITEM.match(line)
    named = [item[1]] if item else [*_LOCAL.findall(line), *_FLOW.findall(line)]
    for raw in named:
        path = raw.strip("\"'").strip().lstrip("/")
        if path and not urlsplit(path).scheme and path not in ("-", "|", ">"):
            yield path
