"""A result out of the last message, for models that do not call tools. Pure.

Called by `review`; `coding` and `ask` take only the JSON (`objects`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from pydantic import ValidationError

from services.runner.submission import SubmittedFinding

_FENCE = re.compile(r"```[a-zA-Z]*[ \t]*\n(.*?)\n[ \t]*```", re.DOTALL)
LONGEST = 400_000
MAX_STARTS = 50


def arguments(text: str) -> object | None:
    """Arguments for `submit_review` found in `text`: a JSON object, or an array of findings.

    None when there is none.
    """
    for value in objects(text):
        found = _review(value, text[:LONGEST])
        if found is not None:
            return found
    return None


def objects(text: str) -> Iterator[object]:
    """What JSON there is in `text`: fenced blocks, the last one first; then in the open."""
    text = text[:LONGEST]
    for block in reversed(_FENCE.findall(text)):
        yield _parsed(block)
    decoder = json.JSONDecoder()
    for match in list(re.finditer(r"[{\[]", text))[:MAX_STARTS]:
        try:
            value, _ = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        yield value


def _parsed(block: str) -> object:
    try:
        value: object = json.loads(block)
    except (ValueError, RecursionError):
        return None
    return value


def _review(value: object, text: str) -> object | None:
    """`value` as arguments when it looks like a review; findings that do not fit are left out."""
    if isinstance(value, dict) and ("findings" in value or "summary" in value):
        findings = value.get("findings")
        summary = value.get("summary")
        return {
            "summary": summary if isinstance(summary, str) and summary else _prose(text),
            "findings": _fitting(findings if isinstance(findings, list) else []),
        }
    if isinstance(value, list) and (fitting := _fitting(value)):
        return {"summary": _prose(text), "findings": fitting}
    return None


def _fitting(items: list[object]) -> list[dict[str, object]]:
    fitting = []
    for item in items:
        if not isinstance(item, dict):
            continue
        whole = {"side": "new", "severity": "warning", **item}
        try:
            SubmittedFinding.model_validate(whole)
        except ValidationError:
            continue
        fitting.append(whole)
    return fitting


def _prose(text: str) -> str:
    """What the message says around its JSON."""
    said = _FENCE.sub("", text).strip()
    return said if said and not said.startswith(("{", "[")) else "Review without a summary."
