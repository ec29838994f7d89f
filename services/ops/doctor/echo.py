"""`gca doctor --task`: an echo through the real launcher and task door, and each stage's time."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from datetime import UTC, datetime, timedelta

from libs.common import subjects
from libs.common.errors import AgentError
from libs.common.events.envelope import NewEvent, Recorded
from libs.common.events.tasks import DiffRefs, Echoed, Limits, TaskFailed, TaskRequested
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import DEDUP, LOCKS
from libs.common.launching.launches import Launches
from libs.common.launching.protocol import job_name
from libs.common.launching.slots import Slots
from services.ops.doctor import report
from services.ops.doctor.check import Check, broken, exit_code, ok
from services.ops.doctor.situation import Situation
from services.ops.places import default_root
from services.ops.terminal import Terminal

PATIENCE_SECONDS = 60.0
TIMEOUT_SECONDS = 60
LOOK_SECONDS = 0.1
NOWHERE = "0" * 40


async def run(
    situation: Situation, terminal: Terminal, *, as_json: bool, patience: float = PATIENCE_SECONDS
) -> int:
    """Send one echo and wait for it; needs a running system."""
    if not situation.nats_url:
        raise AgentError("an echo needs a running system: run `make up`, or set NATS_URL")
    async with connected(
        situation.nats_url,
        name="gca",
        on_closed=lambda: None,
        access=situation.nats_access,
        patience=situation.seconds,
    ) as connection:
        checks = await send(connection, patience)
    found = (
        report.json_lines(checks)
        if as_json
        else report.lines(checks, width=terminal.width, colored=terminal.colored)
    )
    for line in found:
        terminal.write(line)
    return exit_code(checks)


async def send(connection: Connection, patience: float) -> list[Check]:
    """The stages as checks; the last is broken when the echo did not come back."""
    log = JetStreamLog(connection)
    request = task(secrets.token_hex(8), datetime.now(UTC), patience)
    created = await log.create(
        NewEvent(
            subject=subjects.task_requested(*subjects.DOCTOR, request.task_id),
            event=request,
            message_id=f"{request.task_id}-requested",
            source="gca",
            time=datetime.now(UTC),
        )
    )
    end = await _end(log, request.task_id, patience)
    if end is None:
        return [requested(), await _why_not(connection, request.task_id, patience)]
    return stages(created.record, end)


def task(number: str, now: datetime, patience: float) -> TaskRequested:
    """An echo's request: of no project, with no branch to read or write."""
    scope, ref = subjects.DOCTOR
    return TaskRequested(
        task_id=f"echo-{scope}-{ref}-{number}",
        kind="echo",
        scope=scope,
        ref=ref,
        project_id=0,
        iid=0,
        clone_url="",
        web_url="",
        source_branch="",
        target_branch="",
        diff_refs=DiffRefs(base_sha=NOWHERE, start_sha=NOWHERE, head_sha=NOWHERE),
        title="gca doctor --task",
        limits=Limits(timeout=TIMEOUT_SECONDS),
        expires_at=now + timedelta(seconds=2 * patience),
        max_launches=1,
    )


def requested() -> Check:
    return ok("task requested", "in the log")


def stages(request: Recorded, end: Recorded) -> list[Check]:
    """What the log and the Job say of the way there and back: pure; times in seconds."""
    event = end.event
    if isinstance(event, TaskFailed):
        meaning = f"the Job ended without an answer ({event.reason}): {event.detail}"
        return [requested(), broken("result accepted", meaning, _logs())]
    if not isinstance(event, Echoed):
        return [requested(), broken("result accepted", "the echo was ended otherwise", _logs())]
    since = event.started_at - request.time.timestamp()
    spec = event.stages.get("spec", 0.0)
    total = (end.time - request.time).total_seconds()
    return [
        requested(),
        ok("Job started", f"after {max(since, 0.0):.2f} s"),
        ok("spec fetched", f"after {max(since, 0.0) + spec:.2f} s, at the task door"),
        ok("result accepted", f"after {total:.2f} s, by the task door"),
    ]


async def _end(log: JetStreamLog, task_id: str, patience: float) -> Recorded | None:
    subject = subjects.task_result(*subjects.DOCTOR, task_id)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while True:
                found = await log.last(subject)
                if found is not None:
                    return found
                await asyncio.sleep(LOOK_SECONDS)
    return None


async def _why_not(connection: Connection, task_id: str, patience: float) -> Check:
    """How far it came without an end."""
    attempts = await Launches(JetStreamKeyValue(connection, DEDUP)).get(job_name("echo", task_id))
    held = await Slots(JetStreamKeyValue(connection, LOCKS), 1).held()
    return stuck(
        launched=bool(attempts.count), busy=len(held.keys() - {task_id}), patience=patience
    )


def stuck(*, launched: bool, busy: int, patience: float) -> Check:
    """Pure: what an echo without an end within `patience` seconds means."""
    within = f"within {patience:g} s"
    if launched:
        meaning = f"the Job was started and did not answer {within}"
        mend = f"check that Jobs reach the task door (TASK_DOOR_URL); {_logs()}"
        return broken("result accepted", meaning, mend)
    if busy:
        meaning = f"no Job was started {within}; {busy} other tasks have slots"
        return broken("Job started", meaning, "wait for them, or raise MAX_CONCURRENT_TASKS")
    meaning = f"no Job was started {within}, though slots are free"
    return broken("Job started", meaning, "check that the reviewer runs (`gca doctor`)")


def _logs() -> str:
    tasks = default_root() / "*" / "tasks"
    return f"look at the Job's logs (with `gca up`: {tasks}, .ended for those that are over)"
