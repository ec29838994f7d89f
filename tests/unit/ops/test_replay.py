"""What `gca replay` takes, leaves out and appends; what it says of the last time."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from libs.common import replaying
from libs.common.errors import AgentError
from libs.common.events.facts import JiraReady, MrClosed
from libs.common.events.tasks import (
    ChangesProposed,
    Refused,
    Superseded,
    TaskFailed,
    TaskPublished,
)
from libs.common.jetstream.letters import DeadLetter
from services.ops.__main__ import parser
from services.ops.last_time import Past, last_time, pointless
from services.ops.progress import bar
from services.ops.repeating import Plan, case, fact_filter, is_fact, lines, plan, repeated
from tests.unit.ops.chains import (
    CODING,
    ISSUE_TASK,
    NOW,
    TASK,
    A,
    B,
    asked,
    chain,
    coding,
    done,
    opened,
    published,
    requested,
)

FAILED = TaskFailed(task_id=TASK, head_sha=A, reason="clone", detail="no right")
PLAN = Plan(filter="mr.>", since=NOW, until=NOW + timedelta(hours=1), replay_id="night")


def given(*words: str):
    return parser().parse_args(["replay", *words])


def letter(subject: str) -> DeadLetter:
    return DeadLetter(
        id=17, subject=subject, service="reviewer", reason="no right", attempts=6, seq=1, time=NOW
    )


@pytest.mark.parametrize(
    ("events", "word"),
    [
        ((opened(),), "nothing"),
        ((opened(), requested()), "open"),
        ((opened(), requested(), done()), "open"),
        ((opened(), requested(), done(), published()), "done"),
        ((opened(), requested(), FAILED), "failed"),
        ((opened(), requested(), FAILED, published("failed")), "failed"),
        ((opened(), requested(), Superseded(task_id=TASK, head_sha=A, by="x")), "superseded"),
        ((opened(), requested(), Refused(task_id=TASK, head_sha=A, code="budget")), "refused"),
        ((opened(), requested(), done(), published("superseded")), "superseded"),
        ((opened(A), requested(B)), "nothing"),
    ],
)
def test_what_happened_last_time_is_one_word(events, word):
    history = chain(*events)

    assert word == last_time(history[0], Past(history=history)).word


@pytest.mark.parametrize(
    ("events", "subject"),
    [
        ((opened(),), f"mr.opened.42.7.{A[:16]}"),
        ((opened(),), f"retry.reviewer.mr.opened.42.7.{A[:16]}"),
        ((opened(), requested(), done()), f"task.result.42.7.{TASK}"),
    ],
)
def test_a_dead_letter_of_the_fact_or_of_its_task_is_named(events, subject):
    history = chain(*events)

    last = last_time(history[0], Past(history=history, letters=[letter(subject)]))

    assert ("dead letter", "17 of the reviewer: no right") == (last.word, last.text)
    assert last.is_failure


@pytest.mark.parametrize(("code", "fails"), [("budget", True), ("access", False)])
def test_only_refusals_that_may_pass_count_as_failures(code, fails):
    history = chain(asked(), coding(), Refused(task_id=CODING, head_sha=A, code=code))

    assert fails is last_time(history[0], Past(history=history)).is_failure


CHANGE = ChangesProposed(task_id=CODING, head_sha=A, subject="s", summary="", files=("a",))
READY = JiraReady(issue_key="PROJ-12", change_id="7", status="AI Ready", project_id=42)
COMMIT = TaskPublished(task_id=CODING, outcome="posted", commit_sha=B)


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ((opened(), requested(), done(), published()), ""),
        ((opened(), requested()), "its review is running"),
        ((opened(), opened(B)), "the newest head is bbbbbbbbbbbb"),
        (
            (opened(), MrClosed(project_id=42, iid=7, state="merged")),
            "the merge request was merged",
        ),
        ((asked(), coding()), "it is on its way"),
        ((asked(), coding(), CHANGE, COMMIT), "it is done, and nothing is done twice"),
        ((asked(), coding(), TaskFailed(task_id=CODING, head_sha=A, reason="model")), ""),
    ],
)
def test_what_a_replay_would_not_change_is_left_out_with_the_reason(events, why):
    history = chain(*events)

    assert why == pointless(history[0], Past(history=history), NOW + timedelta(hours=1))


def test_a_command_older_than_a_day_is_left_out_and_it_says_so():
    history = chain(asked())

    why = pointless(history[0], Past(history=history), NOW + timedelta(hours=24))

    assert "older than 24 hours" in why


@pytest.mark.parametrize("iid", [0, 9])
def test_an_issue_is_left_out_once_it_has_its_merge_request(iid):
    request = msgspec.structs.replace(requested(task_id=ISSUE_TASK), kind="coding", scope="PROJ")
    end = TaskFailed(task_id=ISSUE_TASK, head_sha=A, reason="model")
    told = TaskPublished(task_id=ISSUE_TASK, outcome="failed", merge_request_iid=iid)
    history = chain(READY, request, end, told)

    why = pointless(history[0], Past(history=history), NOW)

    assert bool(iid) is bool(why)


@pytest.mark.parametrize(("only_failed", "left_out"), [(False, ""), (True, "it did not fail")])
def test_only_failed_leaves_out_what_ended_well(only_failed, left_out):
    history = chain(opened(), requested(), done(), published())
    wanted = msgspec.structs.replace(PLAN, only_failed=only_failed)

    assert left_out == case(history[0], Past(history=history), wanted, NOW).left_out


def test_the_new_event_names_the_old_one_and_stands_on_its_subject():
    (fact,) = chain(opened())

    new = repeated(fact, "night", NOW)

    assert (fact.subject, fact.event) == (new.subject, new.event)
    assert ("replay-night-m1", "m1", "m1") == (new.message_id, new.replay_of, new.causation_id)


def test_a_replay_of_a_replay_names_the_first_one_and_has_its_own_id():
    (fact,) = chain(opened())
    first = repeated(fact, "night", NOW)
    record = msgspec.structs.replace(fact, message_id=first.message_id, replay_of=first.replay_of)

    again = repeated(record, "day", NOW)

    assert ("replay-day-m1", "m1") == (again.message_id, again.replay_of)
    assert "night" == replaying.replay_id(record)


def test_every_case_says_what_happened_last_time_and_what_is_done_now():
    history = chain(opened(), requested(), FAILED)
    wanted = case(history[0], Past(history=history), PLAN, NOW)
    left_out = msgspec.structs.replace(wanted, left_out="it did not fail")

    shown = "\n".join(lines([wanted, left_out], width=None, colored=False))

    assert "42!7 open" in shown
    assert "last time: failed, clone: no right" in shown
    assert "    replay\n" in shown
    assert "left out: it did not fail" in shown


@pytest.mark.parametrize("text", ["mr.opened.42.>", "note.>", "jira.ready.PROJ.*.*", "*.*.42.7.>"])
def test_a_filter_over_facts_is_taken(text):
    assert text == fact_filter(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("task.result.>", "tasks are not replayed"),
        ("retry.>", "gca dead-letters"),
        ("mr.closed.42.>", "closing is not replayed"),
        ("nothing.>", "facts are mr.opened, note.command and jira.ready"),
        ("mr..>", "is no filter"),
        ("mr.opened.42", r"five parts; try 'mr\.opened\.42\.>'"),
    ],
)
def test_a_filter_that_cannot_help_is_refused_with_words(text, words):
    with pytest.raises(AgentError, match=words):
        fact_filter(text)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--since", "2h", "--until", "3h"], "--until is not after --since"),
        (["--since", "2h", "--rate", "0"], "--rate"),
        (["--since", "2h", "--id", "a-b"], "--id: letters, digits and _"),
        (["--since", "2h", "--id", "x" * 25], "at most 24"),
    ],
)
def test_what_makes_no_replay_is_refused(words, problem):
    with pytest.raises(AgentError, match=problem):
        plan(given("mr.>", *words), NOW)


def test_without_a_name_a_replay_gets_one_that_may_be_part_of_a_task_id():
    wanted = plan(given("mr.>", "--since", "2h"), NOW)

    assert replaying.REPLAY_ID.fullmatch(wanted.replay_id)
    assert (NOW - timedelta(hours=2), NOW) == (wanted.since, wanted.until)


@pytest.mark.parametrize(("done_", "full"), [(0, 0), (5, 15), (10, 30)])
def test_the_bar_grows_with_the_work(done_, full):
    assert full == bar(done_, 10).count("#")


def test_what_was_put_back_for_one_consumer_is_not_replayed():
    seen, put_back = chain(opened(), opened())
    put_back = msgspec.structs.replace(put_back, subject=f"retry.reviewer.{seen.subject}")

    assert [True, False] == [is_fact(seen), is_fact(put_back)]
