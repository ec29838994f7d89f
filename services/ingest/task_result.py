"""Whether a result may end its task: pure, from its bytes and the task's request (SR-22).

Called by `task_door` before anything is appended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from libs.common.errors import AgentError, cut
from libs.common.events.tasks import (
    Answered,
    ChangesProposed,
    Echoed,
    NothingToDo,
    ReviewDone,
    TaskFailed,
    TaskKind,
    TaskRequested,
)

LARGEST: Mapping[TaskKind, int] = {
    "review": 2 * 1024 * 1024,
    "ask": 2 * 1024 * 1024,
    "coding": 16 * 1024 * 1024,
    "echo": 64 * 1024,
}
"""Bytes that a result of each kind may have; a patch comes as base64, a third longer."""
LARGEST_PATCH = 10 * 1024 * 1024
"""Bytes of a patch as git wrote it."""
LONGEST_TEXT = 64 * 1024
"""Characters of one text of a coding or ask session."""
LONGEST_PATH = 4096
MOST_PATHS = 1000
MOST_STAGES = 20

Accepted = ReviewDone | ChangesProposed | Answered | NothingToDo | TaskFailed | Echoed
_DECODERS: Mapping[TaskKind, msgspec.json.Decoder[Any]] = {
    "review": msgspec.json.Decoder(ReviewDone | TaskFailed),
    "ask": msgspec.json.Decoder(Answered | TaskFailed),
    "coding": msgspec.json.Decoder(ChangesProposed | NothingToDo | TaskFailed),
    "echo": msgspec.json.Decoder(Echoed | TaskFailed),
}
"""What a Job may say; ends such as `Superseded` are for services to write."""


class Unfit(AgentError):
    """The result does not fit the task; its text says why in words for the Job's log."""


def fitting(body: bytes, request: TaskRequested) -> Accepted:
    """The result in `body`; raises `Unfit`."""
    try:
        result: Accepted = _DECODERS[request.kind].decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        why = cut(str(error))
        raise Unfit(f"not a result that a {request.kind} task can end with: {why}") from None
    if result.task_id != request.task_id:
        raise Unfit("the result names another task")
    if result.head_sha != request.head_sha:
        raise Unfit("the result is for another head than the task")
    problem = _problem(result, request)
    if problem:
        raise Unfit(problem)
    return result


def _problem(result: Accepted, request: TaskRequested) -> str | None:
    """What is too much, or not for a Job to say."""
    if isinstance(result, ReviewDone):
        most = request.limits.max_findings
        return f"the result has more than {most} findings" if len(result.findings) > most else None
    if isinstance(result, ChangesProposed):
        return _problem_of_changes(result)
    if isinstance(result, Answered):
        if result.help:
            return "help is not for a Job to give"
        return _too_long(answer=result.answer) if result.answer.strip() else "the answer is empty"
    if isinstance(result, NothingToDo):
        return _too_long(summary=result.summary) or _too_many(stages=result.stages)
    return None


def _problem_of_changes(result: ChangesProposed) -> str | None:
    if result.stored is not None:
        return "a Job hands in its patch itself; where it is stored is for the task door to say"
    if not result.patch:
        return "there is no patch; a session that changed nothing has nothing to do"
    if len(result.patch) > LARGEST_PATCH:
        return f"the patch has more than {LARGEST_PATCH} bytes"
    if not result.subject.strip():
        return "the subject of the commit is empty"
    return (
        _too_many(files=result.files, left_out=result.left_out, stages=result.stages)
        or _too_long(subject=result.subject, summary=result.summary)
        or _long_path(*result.files, *result.left_out)
    )


def _too_many(**lists: tuple[str, ...] | dict[str, float]) -> str | None:
    for name, entries in lists.items():
        most = MOST_STAGES if name == "stages" else MOST_PATHS
        if len(entries) > most:
            return f"{name} has more than {most} entries"
    return None


def _too_long(**texts: str) -> str | None:
    for name, text in texts.items():
        if len(text) > LONGEST_TEXT:
            return f"{name} has more than {LONGEST_TEXT} characters"
    return None


def _long_path(*paths: str) -> str | None:
    if any(len(path) > LONGEST_PATH for path in paths):
        return f"a path has more than {LONGEST_PATH} characters"
    return None
