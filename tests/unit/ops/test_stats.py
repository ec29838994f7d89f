"""What was counted over the log, and how it looks on a terminal."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest

from libs.common import subjects
from libs.common.errors import AgentError
from libs.common.events.envelope import Recorded
from libs.common.events.tasks import (
    Answered,
    ChangesProposed,
    Echoed,
    NothingToDo,
    Refused,
    Superseded,
    TaskFailed,
    Usage,
)
from services.ops import tally as tally_module
from services.ops.stats import as_object, lines, parse_since
from services.ops.tally import Numbers, Stage, Tally
from tests.unit.ops.chains import (
    CODING,
    ISSUE_TASK,
    NOW,
    TASK,
    A,
    B,
    chain,
    coding,
    done,
    opened,
    published,
    requested,
)


def counted(*records: Recorded) -> Tally:
    made = Tally()
    for record in records:
        made.add(record)
    return made


def days_later(records: tuple[Recorded, ...], days: int) -> list[Recorded]:
    later = timedelta(days=days)
    return [msgspec.structs.replace(record, time=record.time + later) for record in records]


FAILED = TaskFailed(task_id=TASK, head_sha=A, reason="model", detail="HTTP 500")
WHOLE = chain(opened(), requested(), done(), published())
BROKEN = chain(requested(), FAILED, published("failed"))


def test_a_review_is_counted_once_with_what_it_cost():
    made = counted(*WHOLE)

    expected = {"reviews": 1, "findings": 1, "input_tokens": 1200, "output_tokens": 80}
    expected = msgspec.to_builtins(Numbers()) | expected | {"cost": 0.5}
    assert expected == msgspec.to_builtins(made.all)
    assert expected == msgspec.to_builtins(made.projects["42"])
    assert [NOW.astimezone().date()] == list(made.days)


def test_failures_are_told_by_their_reason():
    made = counted(*WHOLE, *days_later(BROKEN, 1), *days_later(BROKEN, 2))

    assert {"model": 2} == dict(made.reasons)
    assert (made.all.reviews, made.all.failures, len(made.days)) == (1, 2, 3)


COST = Usage(input_tokens=500, output_tokens=20, cost=0.25)
PATCH = ChangesProposed(
    task_id=CODING,
    head_sha=A,
    subject="s",
    summary="",
    files=("a.py",),
    usage=COST,
    stages={"session": 60.0},
)
COMMITTED = published(task_id=CODING, commit_sha=B)
ASK = "ask-42-7-n555"
ANSWER = Answered(task_id=ASK, head_sha=A, answer="Because.", usage=COST)


def test_code_is_counted_with_its_commit_and_its_cost():
    made = counted(*chain(coding(), PATCH, COMMITTED))

    expected = {"changes": 1, "commits": 1, "input_tokens": 500, "output_tokens": 20, "cost": 0.25}
    assert msgspec.to_builtins(Numbers()) | expected == msgspec.to_builtins(made.all)
    seconds = {name: stage.total for name, stage in made.stages.items()}
    assert {
        "coding session": 60.0,
        "coding task to result": 2.0,
        "coding result to posted": 2.0,
    } == seconds


def test_a_merge_request_for_an_issue_is_counted_under_the_issue_s_project():
    request = coding(task_id=ISSUE_TASK, scope="PROJ", ref="12")
    end = msgspec.structs.replace(PATCH, task_id=ISSUE_TASK)
    left = published(task_id=ISSUE_TASK, commit_sha=B, merge_request_iid=9)
    names = (subjects.task_requested, subjects.task_result, subjects.task_published)
    records = [
        msgspec.structs.replace(record, subject=name("PROJ", 12, ISSUE_TASK))
        for name, record in zip(names, chain(request, end, left), strict=True)
    ]

    made = counted(*records)

    assert ["PROJ"] == list(made.projects)
    assert (1, 1, 1) == (made.all.changes, made.all.commits, made.all.merge_requests)
    assert any(line.startswith("PROJ ") for line in lines(made, {}, "7d", width=80))


def test_answers_are_counted_and_the_help_is_not():
    asked = coding(task_id=ASK, kind="ask")
    help_given = msgspec.structs.replace(ANSWER, help=True)

    made = counted(*chain(asked, ANSWER), *chain(asked, help_given))

    assert (1, 0.25) == (made.all.answers, made.all.cost)


def test_refusals_are_told_by_their_code_and_are_no_failures():
    refused = Refused(task_id=CODING, head_sha=A, code="access")
    nothing = NothingToDo(task_id=CODING, head_sha=A, summary="It is there.", usage=COST)

    made = counted(*chain(coding(), refused), *chain(coding(), nothing))
    told = "\n".join(lines(made, {}, "7d", width=120))

    assert {"access": 1} == dict(made.refusals)
    assert (1, 1, 0) == (made.all.refused, made.all.unchanged, made.all.failures)
    assert "1 with nothing to do, 0 failures (0%), 1 refused" in told
    assert "refused by: 1 access" in told


def test_superseded_tasks_are_neither_reviews_nor_failures():
    made = counted(*chain(requested(), Superseded(task_id=TASK, head_sha=A, by="head b")))
    assert (made.all.reviews, made.all.failures, made.all.superseded) == (0, 0, 1)


def test_stages_come_from_the_job_and_from_the_log():
    stages = counted(*WHOLE).stages
    seconds = {name: stage.total for name, stage in stages.items()}
    assert seconds == {"clone": 1.0, "session": 8.5, "task to result": 2.0, "result to posted": 2.0}


def test_the_doctor_s_echo_is_no_review():
    echo = Echoed(task_id="echo-doctor-0-1", head_sha="0" * 40, started_at=0.0)
    made = counted(*chain(echo))
    assert made.all.reviews == 0
    assert made.days == {}


def test_memory_is_bounded_however_long_the_log_is():
    made = Tally()
    request = chain(requested())[0]
    for number in range(tally_module.MOST_OPEN + 50):
        event = msgspec.structs.replace(request.event, task_id=f"review-42-7-{number}")
        made.add(msgspec.structs.replace(request, event=event))
    assert len(made._open) == tally_module.MOST_OPEN

    for number in range(tally_module.SAMPLE * 3):
        made._stage("session", float(number))
    stage = made.stages["session"]
    assert len(stage.kept) == tally_module.SAMPLE
    assert stage.count == tally_module.SAMPLE * 3
    assert abs(stage.percentile(0.5) - 1500) < 300


def test_percentiles_of_few():
    stage = Stage(kept=[3.0, 1.0, 2.0])
    assert (stage.percentile(0.5), stage.percentile(0.9)) == (2.0, 3.0)
    assert Stage().percentile(0.5) == 0.0


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_report_fits_the_terminal(width):
    made = counted(*WHOLE, *days_later(BROKEN, 1))
    names = {"42": "a-group/with-a-rather-long/path-to-app"}

    found = lines(made, names, "7d", width=width)

    assert max(map(len, found)) <= width
    assert "last 7d: 1 reviews, 0 answers, 0 code changes, 1 failures (50%)," in " ".join(
        map(str.strip, found)
    )
    assert any(line.startswith("a-group/") for line in found)
    chart = [line for line in found if line.startswith("2026-")]
    assert ["#" in chart[0], "x" in chart[1]] == [True, True]


def test_a_path_that_is_too_long_keeps_its_end():
    name = "group/" * 30 + "app"
    found = lines(counted(*WHOLE), {"42": name}, "7d", width=60)
    assert max(map(len, found)) <= 60
    assert any(line.startswith("..") and "/app " in line for line in found)


def test_an_empty_log_is_said_to_be_empty():
    assert lines(Tally(), {}, "7d", width=80) == ["no task ended within the last 7d"]


def test_json_holds_everything_by_stable_names():
    found = json.loads(as_object(counted(*WHOLE), {"42": "group/app"}, NOW))

    counts = {"all", "failures_by_reason", "refusals_by_code"}
    assert counts | {"since", "projects", "days", "stages"} == set(found)
    assert found["projects"][0]["path"] == "group/app"
    assert found["stages"]["session"]["median"] == 8.5


@pytest.mark.parametrize(
    ("text", "span"),
    [("7d", timedelta(days=7)), ("12h", timedelta(hours=12)), ("2w", timedelta(days=14))],
)
def test_spans_of_time(text, span):
    assert span == parse_since(text)


@pytest.mark.parametrize("text", ["", "7", "d", "0d", "-1d", "7y", "7d\n", "999999d"])
def test_what_is_no_span_of_time(text):
    with pytest.raises(AgentError, match="no span of time"):
        parse_since(text)
