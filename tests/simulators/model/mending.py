"""What the scripted reviewer does when `submit_review` refuses: mend the findings it names.

Called by the script with the arguments that were refused and the tool's answer. Pure.
"""

from __future__ import annotations

import re
from typing import Any

_REFUSED = re.compile(
    r"not in the diff|refus|reject|invalid|not valid|required|must|cannot|too (?:long|many|large)"
    r"|outside|overlap|out of range|does not exist|unknown|that (?:are|can be used)",
    re.IGNORECASE,
)
_RANGES = re.compile(
    r"lines (?:of side '\w+' )?that (?:are|can be used)[^:]*:\s*([\d,\s-]+)", re.IGNORECASE
)


def refused(answer: str | None) -> bool:
    return bool(answer and _REFUSED.search(answer))


def mended(arguments: dict[str, Any], answer: str, *, attempt: int) -> dict[str, Any]:
    """Move a named finding to the nearest line offered, else drop it; bolder with each attempt.

    When the answer names none of the findings, the suggestions go first, then the findings: what
    they said then stands in the summary, so that it is not lost.
    """
    findings = arguments.get("findings")
    findings = [f for f in findings if isinstance(f, dict)] if isinstance(findings, list) else []
    named = [_complaint(finding, at, answer) for at, finding in enumerate(findings)]
    if any(named) and attempt < 4:
        kept = [
            _moved(finding, complaint) if complaint else finding
            for finding, complaint in zip(findings, named, strict=True)
        ]
        return {**arguments, "findings": [finding for finding in kept if finding]}
    if attempt < 2:
        return {**arguments, "findings": [_plain(finding) for finding in findings]}
    told = "\n".join(f"- {f.get('file')}: {f.get('comment')}" for f in findings)
    summary = f"{arguments.get('summary', '')}\n\nFound, but not placed on a line:\n{told}"
    return {"summary": summary if told else arguments.get("summary", ""), "findings": []}


def _complaint(finding: dict[str, Any], at: int, answer: str) -> str | None:
    """Give the line of the answer that speaks of this finding."""
    file, line = re.escape(str(finding.get("file"))), finding.get("line")
    last = finding.get("end_line") or line
    by_place = re.compile(rf"{file}\W+(?:\w+ )*?(?:lines? )?(?:{line}|{last})\b")
    by_number = re.compile(rf"\bfindings?(?:\.|\[| #?)({at})\b", re.IGNORECASE)
    for said in answer.splitlines():
        if by_place.search(said) or by_number.search(said):
            return said
    return None


def _moved(finding: dict[str, Any], complaint: str) -> dict[str, Any] | None:
    offered = _RANGES.search(complaint)
    pairs = re.findall(r"(\d+)(?:-(\d+))?", offered[1]) if offered else []
    lines = [n for low, high in pairs for n in range(int(low), int(high or low) + 1)]
    if not lines or not isinstance(finding.get("line"), int):
        return None
    nearest = min(lines, key=lambda number: (abs(number - finding["line"]), number))
    return {**_plain(finding), "line": nearest}


def _plain(finding: dict[str, Any]) -> dict[str, Any]:
    bare = dict.fromkeys(("end_line", "suggestion", "suggestion_start", "suggestion_end"))
    return {**finding, **bare}
