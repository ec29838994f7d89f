"""Spans around events by OpenTelemetry's conventions: pure, for `consumer` and `log`.

A subject has ids in it, so names and templates show `*` in their place; the ids are attributes.
"""

from __future__ import annotations

from libs.common.telemetry import Value

_RETRY = "retry"


def template(subject: str) -> str:
    """`task.result.*.*.*` of any task's result; the two words of a retry stay readable too."""
    tokens = subject.split(".")
    kept = 4 if tokens[0] == _RETRY else 2
    return ".".join([*tokens[:kept], *("*" for _ in tokens[kept:])])


def attributes(operation: str, subject: str) -> dict[str, Value]:
    """What every span about this subject says; `operation` is `send` or `process`."""
    tokens = subject.split(".")
    tokens = tokens[2:] if tokens[0] == _RETRY else tokens
    found: dict[str, Value] = {
        "messaging.system": "nats",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": subject,
        "messaging.destination.template": template(subject),
    }
    if len(tokens) == 5:
        found |= {"gca.scope": tokens[2], "gca.ref": tokens[3]}
    if task_id := task_of(subject):
        found["gca.task_id"] = task_id
    return found


def task_of(subject: str) -> str:
    """The task's id when the subject is about one."""
    tokens = subject.split(".")
    tokens = tokens[2:] if tokens[0] == _RETRY else tokens
    return tokens[-1] if tokens[0] == "task" and len(tokens) == 5 else ""
