"""Counts a task's end and what its session cost; called by whoever wrote the end first."""

from __future__ import annotations

import re

from libs.common import metrics
from libs.common.events.envelope import event_type
from libs.common.events.tasks import (
    Answered,
    ChangesProposed,
    NothingToDo,
    Result,
    ReviewDone,
    TaskFailed,
    Usage,
)

_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}")
_SESSION = ReviewDone | ChangesProposed | Answered | NothingToDo
"""Ends of a session that came to its end, with what it cost."""
_STAGES = {"clone": "clone_duration", "start": "session_start_duration"}


def count_end(kind: str, result: Result) -> None:
    """Outcome, seconds and usage of the end; the Job that says so may be wrong, so be careful."""
    outcome = event_type(result).split(".")[2]
    reason = result.reason if isinstance(result, TaskFailed) else ""
    metrics.count("tasks_ended", kind=kind, outcome=outcome, reason=reason)
    if isinstance(result, _SESSION | TaskFailed):
        for stage, seconds in result.stages.items():
            if stage in _STAGES:
                metrics.observe(_STAGES[stage], max(seconds, 0.0), kind=kind)
            elif stage == "session":
                metrics.observe("session_duration", max(seconds, 0.0), kind=kind, outcome=outcome)
    if isinstance(result, _SESSION):
        _count_usage(result.usage)


def _count_usage(usage: Usage) -> None:
    # A label has few values; this one comes from the provider.
    model = usage.model if _MODEL.fullmatch(usage.model) else "other"
    for name, tokens in (
        ("input", usage.input_tokens),
        ("output", usage.output_tokens),
        ("cache_read", usage.cache_read_tokens),
    ):
        metrics.count("session_tokens", max(tokens, 0), model=model, type=name)
    metrics.count("session_cost", max(usage.cost, 0.0), model=model)
