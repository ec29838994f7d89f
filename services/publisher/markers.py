"""Hidden comments by which we know our own notes again (SR-28).

Written after the firewall, read back from notes of our own user id only. The firewall lets no
`<!-- gca` through, and a marker counts only as a line of its own.
"""

from __future__ import annotations

import re

import msgspec

_MARKER = re.compile(
    r"^<!-- gca:v1 task=([A-Za-z0-9_.-]{1,200}) item=([A-Za-z0-9_.-]{1,80}) -->$", re.MULTILINE
)


class Marker(msgspec.Struct, frozen=True):
    """Which task wrote a note, and which part of its result the note is."""

    task_id: str
    fingerprint: str


def marker(task_id: str, fingerprint: str) -> str:
    """The comment to put at the end of a note; raises `ValueError` on odd characters."""
    text = f"<!-- gca:v1 task={task_id} item={fingerprint} -->"
    if _MARKER.fullmatch(text) is None:
        raise ValueError("a marker takes letters, digits, dots, dashes and underscores only")
    return text


def read_markers(text: str) -> tuple[Marker, ...]:
    """The markers in a note, in order; GitLab may have added carriage returns."""
    return tuple(Marker(m[1], m[2]) for m in _MARKER.finditer(text.replace("\r", "")))
