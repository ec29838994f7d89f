"""A result that is too large for the task door, made to fit without losing a finding. Pure."""

from __future__ import annotations

import msgspec

from libs.common.events.tasks import Finding, ReviewDone
from services.runner.door import AnyResult

LARGEST = 450_000
"""Bytes of JSON; the task door takes 512 KB in the event itself."""
CUT = "… [cut]"
_STEPS = (4_000, 2_000, 1_000, 400, 150)


def fitted(result: AnyResult) -> AnyResult:
    """The result itself when it fits, else with shorter texts and, last, shorter lists of files."""
    if not isinstance(result, ReviewDone) or _size(result) <= LARGEST:
        return result
    smaller = result
    for longest in _STEPS:
        smaller = msgspec.structs.replace(
            smaller,
            summary=_cut(smaller.summary, longest * 4),
            findings=tuple(_shorter(finding, longest) for finding in smaller.findings),
        )
        if _size(smaller) <= LARGEST:
            return smaller
    return msgspec.structs.replace(
        smaller, files_reviewed=smaller.files_reviewed[:500], skipped=smaller.skipped[:500]
    )


def _shorter(finding: Finding, longest: int) -> Finding:
    """A suggestion is whole or not there at all; a comment may be cut."""
    keep = finding.suggestion is not None and len(finding.suggestion) <= longest
    return msgspec.structs.replace(
        finding,
        comment=_cut(finding.comment, longest),
        suggestion=finding.suggestion if keep else None,
        suggestion_start=finding.suggestion_start if keep else None,
        suggestion_end=finding.suggestion_end if keep else None,
    )


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - len(CUT)] + CUT


def _size(result: ReviewDone) -> int:
    return len(msgspec.json.encode(result))
