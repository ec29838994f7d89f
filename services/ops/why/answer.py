"""The answer to why: a word, a sentence, a way out. Made by `review`, `command` and `issue`."""

from __future__ import annotations

from typing import Literal

import msgspec

from libs.common.events.tasks import FailureReason

Code = Literal[
    "reviewed",
    "no_event",
    "not_allowed",
    "gone",
    "closed",
    "draft",
    "no_diff",
    "gitlab_not_ready",
    "gitlab_away",
    "not_handled",
    "not_requested",
    "queued",
    "starting",
    "running",
    "publishing",
    "failed",
    "refused",
    "superseded",
    "dead_letter",
    "done",
    "ignored",
    "held",
]
"""One word per reason, for programs; texts may change."""
WAYS_OUT: dict[FailureReason, str] = {
    "clone": "check that GITLAB_READ_TOKEN may read the repository (`gca doctor`)",
    "auth": "check the keys of GitLab and of the model (`gca doctor`)",
    "timeout": "raise TASK_TIMEOUT, or check how fast the model answers (`gca doctor`)",
    "model": "check the model provider (`gca doctor`)",
    "no_result": "try another COPILOT_MODEL; this one ended without handing in a result",
    "launch": "check that Jobs can start (`gca doctor`, `gca doctor --task`); look at their logs",
    "internal": "look at the Job's log; this is a mistake of ours",
}


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: a word for programs, a sentence, and what to do (nothing when all is well)."""

    code: Code
    text: str
    mend: str = ""
