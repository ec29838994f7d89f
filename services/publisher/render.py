"""The words of our notes: findings, the summary, failures. Pure; called by the publisher.

Foreign text passes the firewall first; our own headings, fences and markers are added after it.
Golden files in tests/data/golden/notes show what readers see.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from libs.common.events.tasks import (
    FailureReason,
    Finding,
    ReviewDone,
    Severity,
    SkippedFile,
    TaskFailed,
    TaskKind,
    TaskRequested,
    Usage,
)
from services.publisher.firewall import (
    SUMMARY_CHARS,
    Policy,
    is_protected,
    suggestion_block,
)
from services.publisher.markers import marker
from services.publisher.wording import WITHHELD, count, file_name, footer, note, plain, safe

_PROTECTED = "*A suggested change was left out: this file decides what runs, a person changes it.*"
_SEVERITY: dict[Severity, str] = {"error": "Error", "warning": "Warning", "info": "Note"}
_WORK: dict[TaskKind, str] = {"review": "review", "ask": "answer", "coding": "code change"}
_MAX_SKIPPED = 50
_UNPLACED_CHARS = 2_000
_FULL_UNPLACED = 100_000
"""Past this much text, findings without a place are listed by their first words only."""

_FAILED: dict[FailureReason, tuple[str, str]] = {
    "clone": (
        "The source of this merge request could not be fetched from GitLab.",
        "This often passes by itself; the next push starts a new {work}.",
    ),
    "auth": (
        "The agent was not let in: one of its tokens is missing or no longer valid.",
        "An operator has to renew it; after that, a new push starts a {work}.",
    ),
    "timeout": (
        "The {work} was not done after {minutes} and was stopped.",
        "The next push starts a new one. A smaller merge request takes less time.",
    ),
    "model": (
        "The language model did not answer, or did not take the work.",
        "The next push starts a new {work}.",
    ),
    "no_result": (
        "The agent ended without handing in a {work}.",
        "The next push starts a new one.",
    ),
    "launch": (
        "The {work} could not be started, also not after several tries.",
        "An operator should look at the machine or cluster; the next push starts a new {work}.",
    ),
    "internal": (
        "Something went wrong inside the agent; it is not about your code.",
        "An operator finds the cause by the task id. The next push starts a new {work}.",
    ),
}


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a review's findings."""

    threads: int = 0
    """Discussions of this task on lines of the diff."""
    unplaced: tuple[Finding, ...] = ()
    still_open: tuple[Finding, ...] = ()
    """Said in an earlier review, in a thread that is still open; not repeated."""


def finding_body(finding: Finding, *, policy: Policy, task_id: str, fingerprint: str) -> str:
    """The first note of a discussion on the finding's lines."""
    parts = [_headline(_SEVERITY[finding.severity], safe(finding.comment, policy))]
    parts += _suggestion(finding, policy)
    return note(parts, marker(task_id, fingerprint))


def summary_body(
    review: ReviewDone, request: TaskRequested, placed: Placed, *, policy: Policy
) -> str:
    """The one summary note of a merge request, rewritten by each review."""
    summary = msgspec.structs.replace(policy, max_chars=SUMMARY_CHARS)
    parts = ["## Copilot review", _result_line(review, request, placed)]
    if review.summary.strip():
        parts.append(safe(review.summary, summary))
    parts += _unplaced(placed.unplaced, policy)
    parts += _still_open(placed.still_open)
    parts += _coverage(review)
    parts += ["---", footer(request, review.usage, sum(review.stages.values()))]
    return note(parts, marker(request.task_id, "summary"))


def failure_body(failed: TaskFailed, request: TaskRequested) -> str:
    """One short note: what happened and what comes next; details stay with the operators."""
    work = _WORK[request.kind]
    words = {"work": work, "minutes": count(max(1, request.limits.timeout // 60), "minute")}
    what, following = (text.format(**words) for text in _FAILED[failed.reason])
    parts = [f"**No {work} this time.** {what}", following]
    parts += ["---", footer(request, Usage(), sum(failed.stages.values()))]
    return note(parts, marker(request.task_id, "notice"))


def notice_settled(request: TaskRequested) -> str:
    """What the note about a failure says once a later task did the work."""
    parts = [
        f"An earlier {_WORK[request.kind]} failed; that of `{request.head_sha[:8]}` went through.",
        "---",
        footer(request, Usage(), 0),
    ]
    return note(parts, marker(request.task_id, "notice"))


def _headline(label: str, text: str) -> str:
    """Label and text on one line, unless the text starts with a block of its own."""
    starts_block = text[:1] in "#>-+|=~ \t" or text.startswith(("```", "* ", "---"))
    numbered = text[:3].partition(".")[0].isdigit()
    return f"**{label}:**\n\n{text}" if starts_block or numbered else f"**{label}:** {text}"


def _suggestion(finding: Finding, policy: Policy) -> list[str]:
    if finding.suggestion is None:
        return []
    if block := suggestion_block(finding, policy):
        return [block]
    if is_protected(finding.file, policy):
        return [_PROTECTED]
    # Not a one-click change, but the code itself may still help; it passes as any other text.
    ticks = "`" * (3 + finding.suggestion.count("```"))
    code = safe(f"{ticks}\n{finding.suggestion.removesuffix(chr(10))}\n{ticks}", policy)
    meant = msgspec.structs.replace(
        finding,
        line=finding.suggestion_start or finding.line,
        end_line=finding.suggestion_end or finding.end_line,
    )
    return [code if code == WITHHELD else f"Suggested code for {_lines(meant)}:\n\n{code}"]


def _result_line(review: ReviewDone, request: TaskRequested, placed: Placed) -> str:
    counts = [
        count(n, name)
        for severity, name in (("error", "error"), ("warning", "warning"), ("info", "note"))
        if (n := sum(f.severity == severity for f in review.findings))
    ]
    found = ", ".join(counts) or "nothing to remark"
    line = f"Commit `{request.head_sha[:8]}`: {found}."
    if placed.threads:
        verb = "is" if placed.threads == 1 else "are"
        line += f" {count(placed.threads, 'comment')} {verb} in the diff."
    return line


def _unplaced(findings: Sequence[Finding], policy: Policy) -> list[str]:
    if not findings:
        return []
    short = msgspec.structs.replace(policy, max_chars=_UNPLACED_CHARS)
    parts, size = ["### Without a place in the diff"], 0
    for finding in findings:
        label = f"**{_SEVERITY[finding.severity]}** · {_where(finding)}"
        if size > _FULL_UNPLACED:
            parts.append(label)
            continue
        body = "\n\n".join([safe(finding.comment, short), *_suggestion(finding, short)])
        size += len(body)
        parts.append(f"{label}\n\n{body}")
    return parts


def _still_open(findings: Sequence[Finding]) -> list[str]:
    if not findings:
        return []
    lines = [f"- {_where(finding)}" for finding in findings]
    return ["### Still open from an earlier review", "\n".join(lines)]


def _coverage(review: ReviewDone) -> list[str]:
    parts = []
    if review.files_reviewed:
        parts.append(f"Reviewed: {count(len(review.files_reviewed), 'file')}.")
    if review.skipped:
        parts.append(f"### Not reviewed\n\n{_skipped(review.skipped)}")
    return parts


def _skipped(files: Sequence[SkippedFile]) -> str:
    lines = [f"- {file_name(f.path)}: {plain(f.why)}" for f in files[:_MAX_SKIPPED]]
    if len(files) > _MAX_SKIPPED:
        lines.append(f"- and {count(len(files) - _MAX_SKIPPED, 'more file')}")
    return "\n".join(lines)


def _where(finding: Finding) -> str:
    return f"{file_name(finding.file)}, {_lines(finding)}" if finding.file else "the merge request"


def _lines(finding: Finding) -> str:
    side = " of the old file" if finding.side == "old" else ""
    if finding.end_line <= finding.line:
        return f"line {finding.line}{side}"
    return f"lines {finding.line}-{finding.end_line}{side}"
