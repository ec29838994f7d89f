"""What the code does not say about an event: who writes it, how, and its subject in words.

Read by `events` and `asyncapi`. Tests hold it to the union of all events, to the builders of
subjects and to where the events are made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

from libs.common import subjects
from libs.common.events.envelope import AnyEvent
from libs.common.jetstream.topology import DURABLES


class Channel(NamedTuple):
    """One kind of subject; `parameters` are its last three tokens."""

    name: str
    build: Callable[..., str]
    parameters: tuple[str, str, str]
    writers: tuple[str, ...]
    written: Literal["append", "create once"]
    meaning: str

    @property
    def address(self) -> str:
        """The subject, with `{name}` for each parameter."""
        subject = self.build("A", "B", "C").split(".")
        return ".".join([*subject[:2], *(f"{{{name}}}" for name in self.parameters)])

    @property
    def noun(self) -> str:
        """Such as `mr.opened`; the tags of its events begin with it."""
        return ".".join(self.address.split(".")[:2])


_TASK = ("scope", "ref", "task_id")
CHANNELS = (
    Channel(
        "mrOpened",
        subjects.mr_opened,
        ("project_id", "iid", "sha16"),
        ("ingest",),
        "append",
        "A head of an open merge request was seen.",
    ),
    Channel(
        "mrClosed",
        subjects.mr_closed,
        ("project_id", "iid", "state"),
        ("ingest",),
        "append",
        "A merge request was closed or merged.",
    ),
    Channel(
        "noteCommand",
        subjects.note_command,
        ("project_id", "iid", "note_id"),
        ("ingest",),
        "append",
        "A person asked for something in a merge request.",
    ),
    Channel(
        "jiraReady",
        subjects.jira_ready,
        ("project_key", "number", "change_id"),
        ("ingest",),
        "create once",
        "A Jira issue entered the trigger status.",
    ),
    Channel(
        "taskRequested",
        subjects.task_requested,
        _TASK,
        ("reviewer", "coder"),
        "create once",
        "Work is asked for.",
    ),
    Channel(
        "taskResult",
        subjects.task_result,
        _TASK,
        ("ingest", "reviewer", "coder"),
        "create once",
        "The one end of a task: what its Job handed in at ingest's task door, or what the "
        "service that asked for it says of a task without a Job.",
    ),
    Channel(
        "taskPublished",
        subjects.task_published,
        _TASK,
        ("publisher",),
        "create once",
        "What the publisher left in GitLab and Jira for a task.",
    ),
)
PARAMETERS = {
    "project_id": "Id of the project in GitLab.",
    "iid": "Number of the merge request in its project.",
    "sha16": "The first 16 characters of the head's sha.",
    "state": "`closed` or `merged`.",
    "note_id": "Id of the note.",
    "project_key": "Key of the project in Jira.",
    "number": "Number of the issue in its project.",
    "change_id": "Id of the status change, or `created`.",
    "scope": "Id of the project in GitLab, or key of the project in Jira.",
    "ref": "Number of the merge request in its project, or of the issue.",
    "task_id": "Id of the task, such as `review-42-7-4f2b9c0d1e3a5b6c-0`.",
}


def kinds() -> tuple[type[Any], ...]:
    """Every type of event, in the order of their unions."""
    return get_args(AnyEvent)


def tag(kind: type[Any]) -> str:
    return str(kind.__struct_config__.tag)


def channel(kind: type[Any]) -> Channel:
    """Where events of this type are; raises `StopIteration` for one that is not listed."""
    return next(one for one in CHANNELS if tag(kind).startswith(f"{one.noun}."))


def kinds_in(one: Channel) -> list[type[Any]]:
    return [kind for kind in kinds() if channel(kind) is one]


def readers(one: Channel) -> dict[str, str]:
    """The durables that get events of this kind, and `of <filter>` where it is only some."""
    found = {}
    for durable in DURABLES:
        for wanted in durable.filters:
            subject = wanted.removesuffix(".>")
            if subject == one.noun or subject.startswith(f"{one.noun}."):
                found[durable.name] = "" if subject == one.noun else f"of `{wanted}`"
    return found
