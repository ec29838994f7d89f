"""Subjects: `<noun>.<verb>.<scope>.<ref>.<id>`, built and read in one place.

Called by whoever appends or filters. `*.*.42.7.>` is the whole history of merge request 42!7.
"""

from __future__ import annotations

import re

from libs.common.errors import Permanent

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")
ALL_FACTS = ("mr.>", "note.>", "jira.>")
ALL_TASKS = "task.>"
DOCTOR = ("doctor", "0")
"""Scope and ref of the tasks that `gca doctor` sends; no project's id and no Jira key."""
STREAM_SUBJECTS = (*ALL_FACTS, ALL_TASKS, "retry.>")


def build(noun: str, verb: str, scope: int | str, ref: int | str, tail: str) -> str:
    """A subject of the log; raises `Permanent` when a part is not one plain token."""
    parts = [noun, verb, str(scope), str(ref), tail]
    for part in parts:
        if not _TOKEN.fullmatch(part):
            raise Permanent(f"{part[:80]!r} cannot be a token of a subject")
    return ".".join(parts)


def mr_opened(project_id: int, iid: int, head_sha: str) -> str:
    return build("mr", "opened", project_id, iid, head_sha[:16])


def mr_closed(project_id: int, iid: int, state: str) -> str:
    return build("mr", "closed", project_id, iid, state)


def note_command(project_id: int, iid: int, note_id: int) -> str:
    return build("note", "command", project_id, iid, str(note_id))


def jira_ready(project_key: str, number: int, change_id: str) -> str:
    return build("jira", "ready", project_key, number, change_id)


def task_requested(scope: int | str, ref: int | str, task_id: str) -> str:
    return build("task", "requested", scope, ref, task_id)


def task_result(scope: int | str, ref: int | str, task_id: str) -> str:
    return build("task", "result", scope, ref, task_id)


def task_published(scope: int | str, ref: int | str, task_id: str) -> str:
    return build("task", "published", scope, ref, task_id)


def history(scope: int | str, ref: int | str) -> str:
    """Filter for everything about one merge request or issue."""
    return f"*.*.{scope}.{ref}.>"


def events_about(tail: str) -> tuple[str, str]:
    """Filters of EVENTS for facts, tasks and retries that end so, such as `42.>` or `42.7.>`."""
    return f"*.*.{tail}", f"retry.*.*.*.{tail}"


def letters_about(tail: str) -> tuple[str, str]:
    """The same of DEAD_LETTERS: of events as they came, and of retries."""
    return f"dead.*.*.*.{tail}", f"dead.*.retry.*.*.*.{tail}"


def scope_and_ref(subject: str) -> tuple[str, str]:
    """Tokens three and four of a log subject; `retry.<durable>.` prefixes are skipped.

    Raises `Permanent` on a subject that is not of this shape.
    """
    tokens = subject.split(".")
    if tokens[0] == "retry":
        tokens = tokens[2:]
    if len(tokens) != 5:  # the shape named above
        raise Permanent(f"{subject[:120]!r} is not a subject of the log")
    return tokens[2], tokens[3]


def last_token(subject: str) -> str:
    return subject.rsplit(".", 1)[-1]


def retry(durable: str, subject: str) -> str:
    """Where an event is put back for one consumer; what was put back before is not nested."""
    return f"retry.{durable}.{original(subject)}"


def original(subject: str) -> str:
    """The subject without the prefix of a retry."""
    tokens = subject.split(".")
    return ".".join(tokens[2:]) if tokens[0] == "retry" else subject


def covers(pattern: str, subject: str) -> bool:
    """Whether a NATS filter covers a subject: `*` is one token, a final `>` one or more."""
    wanted, tokens = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted = wanted[:-1]
        if len(tokens) <= len(wanted):
            return False
        tokens = tokens[: len(wanted)]
    return len(wanted) == len(tokens) and all(
        want in ("*", token) for want, token in zip(wanted, tokens, strict=True)
    )
