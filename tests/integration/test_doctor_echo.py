"""The echo of the doctor: answered without clone and model, taken by the door, not published."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from libs.common import subjects
from libs.common.errors import AgentError
from libs.common.events.envelope import NewEvent, Recorded
from libs.common.events.tasks import Echoed, ReviewDone, TaskFailed
from libs.common.git.clone import ClonedRepository, CloneOrder
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.topology import EVENTS
from libs.common.launching.contract import Contract, ExitCode
from services.ingest.task_result import Unfit, fitting
from services.ops.doctor import echo
from services.publisher.handlers import on_event
from services.runner.clone import ClonePorts, clone_step
from services.runner.door import TaskDoor
from services.runner.run import SessionPorts, run_task
from services.runner.session import Heard, Provider, SessionOrder
from tests.fakes.clock import FakeClock
from tests.fakes.task_door import running_task_door
from tests.unit.publisher.world import World

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
REQUEST = echo.task("1f2e", NOW, 60)
ANSWER = Echoed(
    task_id=REQUEST.task_id,
    head_sha=REQUEST.head_sha,
    started_at=NOW.timestamp() + 0.5,
    stages={"spec": 0.25},
)


async def no_clone(order: CloneOrder) -> ClonedRepository:
    raise AssertionError(order)


async def no_session(order: SessionOrder, _: Heard) -> None:
    raise AssertionError(order)


async def test_a_job_answers_without_a_clone_and_without_a_model(tmp_path):
    clock = FakeClock(NOW + timedelta(seconds=2))
    async with running_task_door(REQUEST) as door:
        contract = Contract(
            task_url=door.url,
            task_token=door.token,
            work_dir=tmp_path,
            timeout=60,
            started_at=NOW.timestamp(),
        )
        client = TaskDoor(door.url, door.token, clock=clock)
        cloned = await clone_step(contract, ClonePorts(door=client, clone=no_clone, clock=clock))
        ports = SessionPorts(
            door=client,
            clock=clock,
            provider=Provider(),
            cli=tmp_path / "no-cli",
            cache=None,
            converse=no_session,
            environment={},
        )
        answered = await run_task(contract, ports, {})

    assert (cloned, answered) == (ExitCode.DONE, ExitCode.DONE)
    [result] = door.results
    assert result == Echoed(
        task_id=REQUEST.task_id,
        head_sha=REQUEST.head_sha,
        started_at=NOW.timestamp(),
        stages={"spec": 2.0},
    )


def test_sr_22_an_echo_ends_an_echo_and_nothing_else():
    assert fitting(msgspec.json.encode(ANSWER), REQUEST) == ANSWER
    review = msgspec.structs.replace(REQUEST, kind="review")
    with pytest.raises(Unfit, match="not a result that a review task can end with"):
        fitting(msgspec.json.encode(ANSWER), review)
    done = ReviewDone(task_id=REQUEST.task_id, head_sha=REQUEST.head_sha, summary="Fine.")
    with pytest.raises(Unfit, match="echo task"):
        fitting(msgspec.json.encode(done), REQUEST)


@pytest.mark.parametrize(
    "end",
    [
        ANSWER,
        TaskFailed(task_id=REQUEST.task_id, head_sha=REQUEST.head_sha, reason="launch"),
    ],
    ids=lambda end: type(end).__name__,
)
async def test_nothing_of_an_echo_reaches_gitlab(end):
    world = World()
    await world.append(subjects.task_requested(*subjects.DOCTOR, REQUEST.task_id), REQUEST)
    record = await world.append(subjects.task_result(*subjects.DOCTOR, REQUEST.task_id), end)
    before = len(world.log.events)

    await on_event(record, ports=world.ports())

    assert world.mr.discussions == []
    assert len(world.log.events) == before


def recorded(event: Echoed | TaskFailed, seconds: float) -> Recorded:
    return Recorded(subject="s", seq=2, time=NOW + timedelta(seconds=seconds), event=event)


ASKED = Recorded(subject="s", seq=1, time=NOW, event=REQUEST)


def test_each_stage_has_its_time():
    stages = echo.stages(ASKED, recorded(ANSWER, 1.5))

    assert [(c.name, c.state, c.meaning.partition(",")[0]) for c in stages] == [
        ("task requested", "ok", "in the log"),
        ("Job started", "ok", "after 0.50 s"),
        ("spec fetched", "ok", "after 0.75 s"),
        ("result accepted", "ok", "after 1.50 s"),
    ]


def test_a_job_that_failed_says_why():
    failed = TaskFailed(
        task_id=REQUEST.task_id, head_sha="0" * 40, reason="launch", detail="no task door"
    )
    last = echo.stages(ASKED, recorded(failed, 9.0))[-1]
    assert (last.state, last.meaning) == (
        "broken",
        "the Job ended without an answer (launch): no task door",
    )


@pytest.mark.real
async def test_an_echo_that_nobody_answers_names_who_is_missing(connection):
    requested, last = await echo.send(connection, 0.3)

    assert (requested.state, last.state) == ("ok", "broken")
    assert "the reviewer runs" in last.mend


@pytest.mark.real
async def test_an_echo_that_is_answered_is_told_by_its_stages(connection):
    log = JetStreamLog(connection)

    async def answer() -> None:
        names: set[str] = set()
        while not names:
            names = await log.subjects("task.requested.doctor.0.>")
        task_id = subjects.last_token(names.pop())
        result = msgspec.structs.replace(
            ANSWER, task_id=task_id, started_at=datetime.now(UTC).timestamp()
        )
        await log.create(
            NewEvent(
                subject=subjects.task_result(*subjects.DOCTOR, task_id),
                event=result,
                message_id=f"{task_id}-result",
                source="test",
                time=datetime.now(UTC),
            )
        )

    async with asyncio.timeout(20):
        checks, _ = await asyncio.gather(echo.send(connection, 10), answer())

    assert {"ok"} == {check.state for check in checks}
    assert len(checks) == 4


@pytest.mark.real
async def test_the_reviewer_is_woken_by_an_echo(connection):
    """Its durable hears of the doctor's requests at once, not at the next full look."""
    log = JetStreamLog(connection)
    before = (await connection.api(f"CONSUMER.INFO.{EVENTS}.reviewer"))["num_pending"]
    await log.create(
        NewEvent(
            subject=subjects.task_requested(*subjects.DOCTOR, REQUEST.task_id),
            event=REQUEST,
            message_id="m",
            source="gca",
            time=NOW,
        )
    )
    after = (await connection.api(f"CONSUMER.INFO.{EVENTS}.reviewer"))["num_pending"]
    assert after == before + 1


def test_an_echo_names_no_project_and_no_person():
    with pytest.raises(AgentError):
        subjects.task_requested("doctor", "0", "echo doctor")
    assert (REQUEST.project_id, REQUEST.clone_url, REQUEST.author) == (0, "", "")
    assert REQUEST.expires_at > NOW
