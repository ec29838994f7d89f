"""HTML, links, images and addresses: what may stay, what becomes text (SR-26, SR-28).

Called by `inline`. A link stays only when it leads by http(s) to an allowed host and is no
reference to an issue, merge request or the like, which GitLab would note on the other side.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from urllib.parse import urlsplit

LINK = re.compile(
    r"\[([^\[\]\n]{0,500})\]\([ \t]{0,3}<?([^\s()<>\\`|]{1,2000})>?"
    r"(?:[ \t]+[\"'(][^\"'()\n]{0,200}[\"')])?[ \t]{0,3}\)"
)
URL = re.compile(r"[A-Za-z0-9+.-]*\\?:\\?/\\?/[^\s<>\"`\\|]*")
WWW = re.compile(r"www\.[^\s<>\"`\\|]*", re.IGNORECASE)
AUTOLINK = re.compile(r"<([A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>`|]{0,2000})>")
NO_TAG = re.compile(r"<(?=[\s\d=-]|$)")
COMMON_ENTITY = re.compile(r"&(lt|gt|amp|quot|apos|#39|nbsp);")
ENTITY_TEXT = {
    "lt": "\\<",
    "gt": "\\>",
    "amp": "\\&",
    "quot": '\\"',
    "apos": "\\'",
    "#39": "\\'",
    "nbsp": " ",
}
_TRAILING = ".,;:!?)*_]}~'"
_PLAIN_URL = re.compile(r"https?://[A-Za-z0-9._~:/?#=&%+,-]+", re.IGNORECASE)
_REFERENCE = re.compile(
    r"/(?:-/)?(?:issues|work_items|merge_requests|epics|incidents|milestones|snippets|commits?"
    r"|compare|vulnerabilities|alert_management|iterations|cadences|designs|labels|boards"
    r"|requirements|feature_flags|metrics|todos|uploads)(?:[/?#]|$)",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:|//)")
_SPAN_OR_COMMENT = re.compile(r"\\[!-/:-@\[-`{-~]|`+|<!--")


def may_link(url: str, allowed_hosts: frozenset[str]) -> bool:
    """True for an address that GitLab may show as a link."""
    if _PLAIN_URL.fullmatch(url) is None:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.netloc.lower() in allowed_hosts and _REFERENCE.search(parts.path) is None


def has_scheme(url: str) -> bool:
    return _SCHEME.match(url) is not None


def without_trailing(url: str) -> str:
    """An address at the end of a sentence does not own the full stop."""
    return url.rstrip(_TRAILING)


class Backticks:
    """Runs of backticks in one line; finds the run that closes a code span, in log time."""

    def __init__(self, line: str) -> None:
        self._starts: dict[int, list[int]] = defaultdict(list)
        for run in re.finditer("`+", line):
            self._starts[len(run[0])].append(run.start())

    def close(self, length: int, after: int) -> int | None:
        starts = self._starts.get(length, [])
        index = bisect_left(starts, after)
        return starts[index] if index < len(starts) else None


def strip_comments(lines: list[str]) -> list[str]:
    """Prose without HTML comments, also those over several lines; code spans are left alone.

    A comment that never ends is left for `inline`, which makes it visible.
    """
    last_end = max((i for i, line in enumerate(lines) if "-->" in line), default=-1)
    out: list[str] = []
    inside = False
    for number, line in enumerate(lines):
        kept, was_inside = [], inside
        at = 0
        if inside:
            end = line.find("-->")
            if end < 0:
                continue
            at, inside = end + 3, False
        ticks = Backticks(line)
        while at < len(line):
            start, at, inside = _next_comment(line, at, ticks, open_ended=number < last_end)
            kept.append(line[start[0] : start[1]])
            if inside:
                break
        if not (was_inside and not "".join(kept).strip()):
            out.append("".join(kept))
    return out


def _next_comment(
    line: str, at: int, ticks: Backticks, *, open_ended: bool
) -> tuple[tuple[int, int], int, bool]:
    """The kept range before the next comment, where to go on, and whether it runs on."""
    begin = at
    while match := _SPAN_OR_COMMENT.search(line, at):
        at = match.end()
        if match[0].startswith("`"):
            close = ticks.close(len(match[0]), at)
            at = at if close is None else close + len(match[0])
        elif match[0] == "<!--":
            end = line.find("-->", at)
            if end >= 0:
                return (begin, match.start()), end + 3, False
            if open_ended:
                return (begin, match.start()), len(line), True
            break
    return (begin, len(line)), len(line), False
