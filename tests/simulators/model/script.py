"""The scripted reviewer: from one request to one reply, deterministic, with no memory between them.

Called by the server. Where it stands in its work it sees from the messages of the request: look at
the change by `git_diff`, look around once, hand in by `submit_review`, mend what is refused, stop.
Text in the change that gives orders is ignored. Other behaviours, for tests with bad input, are in
modes.py; coding sessions are in coder.py, questions in answering.py.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from tests.simulators.model.chat import Chat
from tests.simulators.model.diff import FileChange
from tests.simulators.model.findings import Finding
from tests.simulators.model.mending import mended, refused
from tests.simulators.model.replies import Call, Reply, Say
from tests.simulators.model.rules import review

MOST_PAGES = 100
MOST_ATTEMPTS = 6
DONE = "The review is handed in."


def review_turn(chat: Chat) -> Reply:
    """Give the next step of an honest reviewer."""
    return look_at_change(chat) or look_around(chat) or hand_in(chat, first_submission(chat))


def look_at_change(chat: Chat) -> Say | None:
    """Ask for the diff, page after page; None when it is read or cannot be."""
    pages = len(chat.called("git_diff"))
    if "git_diff" not in chat.tools or pages > MOST_PAGES:
        return None
    if not pages:
        return Say("I will look at the change first.", (Call("git_diff", {}),))
    return Say(None, (Call("git_diff", {"page": chat.next_page}),)) if chat.next_page else None


def look_around(chat: Chat) -> Say | None:
    """Read the code around the first finding, and who else uses it: once, both at a time."""
    findings = [finding for finding in review(chat.diff) if finding.side == "new"]
    if not findings or chat.called("view") or chat.called("grep"):
        return None
    first, calls = findings[0], []
    if "view" in chat.tools:
        view_range = [max(1, first.line - 10), first.line + 10]
        calls.append(Call("view", {"path": first.file, "view_range": view_range}))
    name = _nearest_name(chat.diff, first)
    if "grep" in chat.tools and name:
        calls.append(
            Call("grep", {"pattern": rf"\b{name}\b", "output_mode": "content", "-n": True})
        )
    return Say("Now the code around it.", tuple(calls)) if calls else None


def hand_in(chat: Chat, submission: dict[str, Any]) -> Say:
    """Call the result tool, mend what it refused, or say it in words when there is no such tool."""
    if "submit_review" not in chat.tools:
        return Say(f"```json\n{json.dumps(submission, indent=2)}\n```")
    attempts = chat.called("submit_review")
    if not attempts:
        return Say(None, (Call("submit_review", submission),))
    last = attempts[-1]
    if not refused(last.answer):
        return Say(DONE)
    if len(attempts) >= MOST_ATTEMPTS:
        return Say("The result tool refused every form of this review; I stop here.")
    arguments = mended(last.arguments, last.answer or "", attempt=len(attempts))
    return Say(None, (Call("submit_review", arguments),))


def first_submission(chat: Chat) -> dict[str, Any]:
    findings = review(chat.diff)
    return {
        "summary": summary(chat.diff, findings),
        "findings": [finding.as_arguments() for finding in findings],
    }


def summary(files: tuple[FileChange, ...], findings: tuple[Finding, ...]) -> str:
    if not files:
        return "There is no change to review: the diff is empty."
    added, removed = sum(f.count("+") for f in files), sum(f.count("-") for f in files)
    renamed = [f"`{f.old_path}` is now `{f.new_path}`" for f in files if f.renamed]
    size = f"{_counted(added, 'line')} added, {removed} removed"
    said = [f"Looked at {_counted(len(files), 'changed file')} ({size})."]
    if renamed:
        said.append(f"Renamed: {', '.join(renamed)}.")
    if not findings:
        return " ".join([*said, "Found nothing to remark on."])
    kinds = Counter(finding.severity for finding in findings)
    parts = [_counted(kinds[k], k) for k in ("error", "warning") if kinds[k]]
    parts += [f"{kinds['info']} info"] if kinds["info"] else []
    said.append(
        f"Found {' and '.join([', '.join(parts[:-1]), parts[-1]] if parts[1:] else parts)}."
    )
    worst = [f"`{f.file}` line {f.line}" for f in findings if f.severity == "error"]
    if worst:
        said.append(f"To settle before the merge: {'; '.join(worst)}.")
    return " ".join(said)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _nearest_name(files: tuple[FileChange, ...], finding: Finding) -> str | None:
    """Give the function that the finding stands in, as far as the diff shows it."""
    names = [
        (line.new, match[1])
        for file in files
        if file.path == finding.file
        for hunk in file.hunks
        for line in hunk
        if line.new is not None and line.new <= finding.line
        if (match := re.search(r"\b(?:def|function|class)\s+(\w+)", line.text))
    ]
    return max(names)[1] if names else None
