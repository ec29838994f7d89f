"""What the end of a Job means: words for people, and the failure it is when no result came.

Used by the supervisor for `Job.reason` and by `plan` for `TaskFailed.reason`.
"""

from __future__ import annotations

from libs.common.events.tasks import FailureReason
from libs.common.launching.contract import ExitCode
from libs.common.launching.protocol import Job

DEADLINE = 124
"""Exit code of a Job that was ended at its deadline, as timeout(1) has it; any launcher's."""

_WORDS: dict[int, str] = {
    ExitCode.DONE: "finished",
    ExitCode.RESULT_REFUSED: "ended because the task door refused its result",
    ExitCode.NO_TASK_DOOR: "could not reach the task door; check TASK_DOOR_URL",
    ExitCode.WRONG_SETTINGS: "did not start: its settings are missing or wrong, see its log",
    ExitCode.TASK_FAILED: "failed and said so at the task door",
    ExitCode.INTERNAL: "failed by an internal error, see its log",
    ExitCode.STOPPED: "was stopped",
}
_REASONS: dict[int, FailureReason] = {
    DEADLINE: "timeout",
    ExitCode.DONE: "no_result",
    ExitCode.RESULT_REFUSED: "no_result",
    ExitCode.TASK_FAILED: "clone",
    ExitCode.INTERNAL: "internal",
}
_FINAL = frozenset({DEADLINE, ExitCode.WRONG_SETTINGS})


def in_words(step: str, code: int) -> str:
    """Why a step ended; `code` as `subprocess` has it, negative for a signal."""
    if code < 0:
        return f"{step} was killed by signal {-code}"
    return f"{step} {_WORDS.get(code, f'ended with exit code {code}')}"


def failure_reason(job: Job) -> FailureReason:
    """What kind of failure it is when `job` exited and left no result."""
    return _REASONS.get(job.exit_code, "launch") if job.exit_code is not None else "launch"


def is_final(job: Job) -> bool:
    """Whether another launch would only end the same way and cost the same again."""
    return job.final or job.exit_code in _FINAL
