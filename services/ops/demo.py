"""Waits for the demo merge request's review and prints it as posted."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime
from typing import Any

from libs.common import subjects
from libs.common.events.envelope import Recorded
from libs.common.events.facts import MrOpened
from libs.common.events.tasks import ReviewDone, TaskFailed, TaskPublished, TaskRequested
from libs.common.gitlab.client import GitLabClient
from libs.common.gitlab.models import Discussion, NotePosition
from libs.common.gitlab.server import Server
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.log import JetStreamLog
from services.ops.screen import told
from services.ops.show import Screen
from services.ops.simulated import Simulated

PATIENCE_SECONDS = 120.0


async def await_review(
    connection: Connection,
    simulated: Simulated,
    opened: dict[str, Any],
    *,
    screen: Screen,
    stopping: asyncio.Event,
) -> int:
    """0 when the review was posted within `PATIENCE_SECONDS` of the webhook, else 1."""
    project_id, iid = int(opened["project_id"]), int(opened["iid"])
    log = JetStreamLog(connection)
    history: list[Recorded] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not stopping.is_set():
                history = await log.history(subjects.history(project_id, iid))
                end = _published(history)
                if end is not None:
                    break
                await asyncio.sleep(0.1)
    end = _published(history)
    if end is None or end.outcome != "posted":
        screen.trouble(f"no review was posted: {why_not(history, end)}")
        return 1
    await _print_review(simulated, project_id, iid, end, history, screen)
    return 0


def _published(history: list[Recorded]) -> TaskPublished | None:
    for record in reversed(history):
        if isinstance(record.event, TaskPublished):
            return record.event
    return None


def why_not(history: list[Recorded], end: TaskPublished | None) -> str:
    """How far the merge request came, in words: pure."""
    failed = [r.event for r in history if isinstance(r.event, TaskFailed)]
    if failed:
        return f"the task failed ({failed[-1].reason}): {failed[-1].detail}"
    if end is not None:
        return f"it ended as {end.outcome}: {end.detail}"
    if not history:
        return "no event reached the log; did the webhook arrive? (ingest.log)"
    return f"the last thing seen was: {told(history[-1])[1]}"


def stages(history: list[Recorded]) -> list[tuple[str, float]]:
    """Seconds per stage from the log's own times and the runner's clock: pure."""
    times: dict[str, datetime] = {}
    found: list[tuple[str, float]] = []
    for record in history:
        match record.event:
            case MrOpened():
                times.setdefault("webhook", record.time)
            case TaskRequested():
                times["requested"] = record.time
            case ReviewDone(stages=measured):
                times["result"] = record.time
                found = list(measured.items())
            case TaskPublished():
                times["published"] = record.time
    spans = [
        ("webhook to task", "webhook", "requested"),
        ("task to result", "requested", "result"),
        ("result to published", "result", "published"),
        ("all", "webhook", "published"),
    ]
    named = [
        (name, (times[end] - times[start]).total_seconds())
        for name, start, end in spans
        if start in times and end in times
    ]
    return named + [(f"  of which {name}", seconds) for name, seconds in found]


async def _print_review(
    simulated: Simulated,
    project_id: int,
    iid: int,
    end: TaskPublished,
    history: list[Recorded],
    screen: Screen,
) -> None:
    server = Server(url=simulated.gitlab_url, token=simulated.settings["GITLAB_READ_TOKEN"])
    async with GitLabClient(server) as gitlab:
        discussions = await gitlab.discussions(project_id, iid)
    screen.text("")
    for discussion in discussions:
        if discussion.id in end.discussion_ids:
            screen.text(_comment(discussion))
    for discussion in discussions:
        if discussion.notes and discussion.notes[0].id == end.summary_note_id:
            screen.text(_visible(discussion.notes[0].body))
    screen.text("")
    screen.text(f"task {end.task_id}   {end.web_url}")
    for name, seconds in stages(history):
        screen.text(f"  {name:<24} {seconds:6.1f} s")


def _comment(discussion: Discussion) -> str:
    note = discussion.notes[0]
    return f"{_place(note.position)}\n" + "".join(
        f"    {line}\n" for line in _visible(note.body).splitlines()
    )


def _place(position: NotePosition | None) -> str:
    if position is None:
        return "merge request"
    if position.new_line is None and position.old_line is not None:
        return f"{position.old_path}:{position.old_line} (removed line)"
    return (
        f"{position.new_path}:{position.new_line}" if position.new_line else f"{position.new_path}"
    )


def _visible(body: str) -> str:
    """The text without its hidden markers."""
    return "\n".join(
        line for line in body.splitlines() if not line.strip().startswith("<!--")
    ).strip()
