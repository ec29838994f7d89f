"""Names for findings, so that each is posted once: pure. Called by `plan`.

A fingerprint is `<place>-<text>`: the place stays the same when lines move to another number on a
later head, the text tells two remarks about one line apart.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import msgspec

from libs.common.events.tasks import Finding


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A finding and the name under which it is looked for in GitLab."""

    finding: Finding
    fingerprint: str


def named(findings: Sequence[Finding]) -> list[Named]:
    """Each finding once: one that says the same of the same place again is dropped."""
    seen: Counter[str] = Counter()
    names = []
    for finding in findings:
        name = fingerprint(finding)
        seen[name] += 1
        if seen[name] == 1:
            names.append(Named(finding=finding, fingerprint=name))
    return names


def fingerprint(finding: Finding) -> str:
    comment = " ".join(finding.comment.lower().split())
    return f"{place(finding)}-{_digest(finding.severity, comment)}"


def place(finding: Finding) -> str:
    """The line by its text; by its number only when the text says nothing."""
    line = finding.line_text.strip()
    return _digest(finding.file, finding.side, line or f"#{finding.line}")


def place_of(name: str) -> str:
    return name.split("-", 1)[0]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
