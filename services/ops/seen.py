"""Gathers what is known of a merge request or issue: log, GitLab now, slots, consumers, letters.

Called by `events`; the answer is made of it by `why`.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec

from libs.common import reviewing, subjects
from libs.common.allowed import allowed
from libs.common.events.envelope import Recorded
from libs.common.events.facts import MrOpened, NoteCommand
from libs.common.events.tasks import TaskRequested
from libs.common.gitlab.models import MergeRequest
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.inspection import consumer_state, dead_letters_of
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import DEDUP, LOCKS
from libs.common.launching.launches import Attempts, Launches
from libs.common.launching.protocol import job_name
from libs.common.launching.slots import Slots
from libs.common.replaying import replay_id
from libs.common.reviewed import Reviewed
from services.ops.doctor.situation import Situation
from services.ops.live import Live
from services.ops.why.command import of_note
from services.ops.why.evidence import Seen

DEFAULT_SLOTS = 2
"""Of MAX_CONCURRENT_TASKS."""


async def gather(
    connection: Connection, live: Live, situation: Situation, project_id: int, iid: int
) -> Seen:
    """Everything about one merge request; raises `AgentError` when the log cannot be read."""
    mr, found = await asyncio.gather(
        live.merge_request(project_id, iid),
        _in_nats(connection, situation, str(project_id), str(iid)),
    )
    history = list(found.history)
    return msgspec.structs.replace(
        found,
        live=mr,
        gitlab_problem=live.problem,
        gone=live.gone,
        decision=await _decision(connection, live, situation, mr, history),
        allowed=None if history else await _allowed(live, situation, project_id),
        ignored=await _ignored(live, situation, found),
    )


async def gather_issue(connection: Connection, situation: Situation, key: str, number: int) -> Seen:
    """Everything about one issue; raises `AgentError` when the log cannot be read."""
    found = await _in_nats(connection, situation, key, str(number))
    return msgspec.structs.replace(
        found,
        allowed=_mapped(situation.value("JIRA_PROJECT_MAP"), key),
        trigger_status=situation.value("JIRA_TRIGGER_STATUS") or "AI Ready",
    )


async def _in_nats(connection: Connection, situation: Situation, scope: str, ref: str) -> Seen:
    """What NATS alone tells."""
    history, reviewer, coder, publisher, letters = await asyncio.gather(
        JetStreamLog(connection).history(subjects.history(scope, ref)),
        consumer_state(connection, "reviewer"),
        consumer_state(connection, "coder"),
        consumer_state(connection, "publisher"),
        dead_letters_of(connection, scope, ref),
    )
    slots = _slots(situation)
    return Seen(
        history=tuple(history),
        letters=tuple(letters),
        reviewer=reviewer,
        coder=coder,
        publisher=publisher,
        held=frozenset(await Slots(JetStreamKeyValue(connection, LOCKS), slots).held()),
        slots=slots,
        launches=await _launches(connection, history),
    )


def _mapped(text: str, key: str) -> bool | None:
    """Whether JIRA_PROJECT_MAP has the project; None when it is not set here."""
    try:
        found = msgspec.json.decode(text, type=dict[str, object])
    except msgspec.MsgspecError:
        return None
    return key in found


async def _ignored(live: Live, situation: Situation, seen: Seen) -> dict[int, str]:
    """Why commands without a task are left alone, by the services' own rules."""
    served = {of_note(r.event) for r in seen.history if isinstance(r.event, TaskRequested)}
    found = {}
    for record in seen.commands():
        event = record.event
        if isinstance(event, NoteCommand) and event.note_id not in served:
            reason = await live.left_alone(event, situation.value("AGENT_GITLAB_USERNAME"))
            if reason:
                found[event.note_id] = reason
    return found


def _slots(situation: Situation) -> int:
    text = situation.value("MAX_CONCURRENT_TASKS")
    return int(text) if text.isdecimal() and int(text) else DEFAULT_SLOTS


async def _decision(
    connection: Connection,
    live: Live,
    situation: Situation,
    mr: MergeRequest | None,
    history: list[Recorded],
) -> reviewing.Decision | None:
    """What the reviewer decides for the newest event, by its own rules."""
    opened = [record for record in history if isinstance(record.event, MrOpened)]
    if mr is None or not opened:
        return None
    newest = max(opened, key=lambda record: record.seq)
    assert isinstance(newest.event, MrOpened)  # noqa: S101  # filtered above
    head, seen_sha = reviewing.head_of(mr), newest.event.head_sha
    moved = head.is_open and seen_sha != head.sha
    known = await live.heads(mr.project_id, mr.iid) if moved else set()
    age = max(datetime.now(UTC) - newest.time, timedelta())
    early = reviewing.settle(seen_sha, head, known, age)
    if early is not None and not (isinstance(early, reviewing.Nothing) and moved):
        return early
    reviewed = await Reviewed(JetStreamKeyValue(connection, DEDUP)).of(mr.project_id, mr.iid)
    drafts = situation.value("REVIEW_DRAFTS").lower() in {"true", "1", "yes"}
    return reviewing.decide(
        head, history, reviewed=reviewed, review_drafts=drafts, replay=replay_id(newest)
    )


async def _allowed(live: Live, situation: Situation, project_id: int) -> bool | None:
    """Whether GITLAB_PROJECTS lets the project in; None when that cannot be told."""
    given = situation.value("GITLAB_PROJECTS").split(",")
    served = allowed(part for part in given if part.strip())
    if served.serves(project_id, "") or not served.paths:
        return served.serves(project_id, "")
    path = await live.path(project_id)
    return served.serves(project_id, path) if path else None


async def _launches(connection: Connection, history: list[Recorded]) -> dict[str, Attempts]:
    counts = Launches(JetStreamKeyValue(connection, DEDUP))
    tasks = [record.event for record in history if isinstance(record.event, TaskRequested)]
    names = {task.task_id: job_name(task.kind, task.task_id) for task in tasks}
    return {task_id: await counts.get(name) for task_id, name in names.items()}
