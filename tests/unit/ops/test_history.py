"""The chain of a merge request on narrow, wide and colourless terminals, and as JSON."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec
import pytest

from libs.common.events.tasks import (
    Artifact,
    ChangesProposed,
    Refused,
    Superseded,
    TaskFailed,
    Write,
)
from libs.common.jetstream.letters import DeadLetter
from libs.common.launching.launches import Attempts
from services.ops.history import closing, json_closing, json_row, rows, table
from services.ops.why.answer import Why
from tests.unit.ops.chains import (
    CODING,
    NOTE,
    NOW,
    TASK,
    URL,
    A,
    asked,
    chain,
    coding,
    done,
    opened,
    published,
    requested,
)

WHOLE = chain(opened(), requested(), done(), published())
LAUNCHED = {TASK: Attempts(count=1, at=NOW + timedelta(seconds=3))}
REASON = "clone: " + "GitLab refused the token of GITLAB_READ_TOKEN, word by word " * 4


def words(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def test_the_whole_chain_has_a_row_for_each_step_in_order_of_time():
    found = rows(WHOLE, launches=LAUNCHED)

    kinds = ["event", "task", "job", "session", "result", "published"]
    assert kinds == [row.kind for row in found]
    assert [0.0, 2.0, 3.0, 4.0, 4.0, 6.0] == [row.seconds for row in found]
    texts = {row.kind: row.text for row in found}
    assert texts["event"] == f"open, head {A[:12]} by webhook"
    assert texts["session"] == "clone 1.0 s, session 8.5 s, 1,200 tokens in, 80 out, sim"
    assert texts["result"] == "1 finding (1 error)"
    assert URL in texts["published"]


@pytest.mark.parametrize("width", [40, 60, 79, 80, 100, 200])
def test_no_width_loses_a_word_and_lines_fit(width):
    failed = TaskFailed(task_id=TASK, head_sha=A, reason="clone", detail=REASON)
    found = rows(chain(opened(), requested(), failed))

    lines = table(found, width=width, colored=False, today=NOW)

    assert REASON.strip() in words(lines)
    long_word = max(len(word) for line in lines for word in line.split())
    assert max(map(len, lines)) <= max(width, long_word + 44)
    if width >= 60:
        assert max(map(len, lines)) <= width


def test_a_narrow_terminal_loses_columns_and_a_pipe_loses_nothing():
    narrow = table(rows(WHOLE), width=60, colored=False, today=NOW)
    piped = table(rows(WHOLE), width=None, colored=False, today=NOW)

    assert "#1" not in words(narrow)
    assert "#1" in piped[0]
    assert len(piped) == len(rows(WHOLE))


def test_other_days_are_named():
    lines = table(rows(WHOLE), width=None, colored=False, today=NOW + timedelta(days=2))
    assert lines[0].startswith("2026-0")


def test_colours_are_there_only_when_wanted():
    found = rows(WHOLE)
    assert "\x1b" in "".join(table(found, width=100, colored=True, today=NOW))
    assert "\x1b" not in "".join(table(found, width=100, colored=False, today=NOW))


def test_a_dead_letter_is_part_of_the_chain():
    letter = DeadLetter(
        subject="task.result", service="publisher", reason="no right", attempts=2, seq=3, time=NOW
    )
    last = rows(WHOLE[:3], letters=[letter])[1]
    assert (last.kind, last.text) == ("dead", "publisher gave up after 2 deliveries: no right")


def test_json_has_one_object_per_line_with_stable_names():
    found = [json.loads(json_row(row)) for row in rows(WHOLE)]

    names = {"time", "seconds", "kind", "text", "task_id", "seq", "subject", "details"}
    assert {frozenset(row) for row in found} == {frozenset(names)}
    assert found[3]["details"] == {"findings": 1, "by_severity": {"error": 1}}
    answer = Why(code="draft", text="it is a draft", mend="mark it ready")
    assert json.loads(json_closing(answer)) == {
        "kind": "why", "code": "draft", "text": "it is a draft", "mend": "mark it ready",
    }  # fmt: skip


def test_a_command_has_its_rows_with_what_was_proposed_and_written():
    stored = Artifact(artifact="a", size=700_000, digest="SHA-256=x")
    proposed = ChangesProposed(
        task_id=CODING, head_sha=A, subject="Add a test", summary="s", files=("a.py",),
        left_out=("b.log",), stored=stored, stages={"session": 2.0},
    )  # fmt: skip
    commit = Write(what="commit", id=A, web_url="http://x/c")
    end = published(task_id=CODING, commit_sha=A, branch="topic", writes=(commit,), web_url="http:")

    found = rows(chain(asked(), coding(), proposed, end))

    assert ["event", "task", "session", "result", "published"] == [row.kind for row in found]
    assert f"note {NOTE}: alice wrote: /copilot add a test by webhook" == found[0].text
    assert f"{CODING}: add a test" == found[1].text
    assert "changes 1 file, 1 left out: Add a test" == found[3].text
    assert (700_000, True) == (found[3].details["patch_bytes"], found[3].details["stored"])
    assert f"commit {A[:12]} on topic http:" == found[4].text
    assert [{"what": "commit", "id": A, "web_url": "http://x/c"}] == found[4].details["writes"]


def test_refusals_and_passings_on_say_so():
    refused = Refused(task_id=CODING, head_sha=A, code="moved")
    passed = Superseded(task_id=CODING, head_sha=A, by="our own commit", next_task_id="coding-2")

    texts = [row.text for row in rows(chain(refused, passed))]

    assert "is refused: somebody else pushed since the note was written" == texts[0]
    assert "superseded by our own commit, goes on as coding-2" == texts[1]


def test_a_command_s_answer_is_told_apart_from_the_review_s():
    answer = Why(code="done", text="commit")

    assert ["result of note 5: commit"] == closing(
        answer, about="result of note 5", width=None, colored=False
    )
    said = json.loads(json_closing(answer, note_id=5))
    assert ("command", 5, "done") == (said["kind"], said["note_id"], said["code"])


def test_what_people_and_models_write_cannot_play_with_the_terminal():
    hostile = "\x1b]0;owned\x07 \x1b[2J \u202egnp.exe \x9b31m\r\nno review: all is well"
    request = msgspec.structs.replace(requested(), title=hostile)
    failed = TaskFailed(task_id=TASK, head_sha=A, reason="model", detail=hostile)
    found = rows(chain(opened(), request, failed))
    answer = Why(code="failed", text=hostile)

    lines = table(found, width=None, colored=False, today=NOW)
    lines += closing(answer, width=None, colored=False)

    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("width", [None, 60])
def test_the_closing_line_is_never_cut(width):
    answer = Why(code="failed", text=f"the review failed ({REASON})", mend="mend it " * 20)

    lines = closing(answer, width=width, colored=False)

    assert words(lines) == f"no review: {' '.join(answer.text.split())} -> {answer.mend.strip()}"
    assert all(len(line) <= (width or 10_000) for line in lines)


def test_a_replay_and_a_retry_are_rows_of_their_own():
    seen, again, retry = chain(opened(), opened(), opened())
    again = msgspec.structs.replace(again, message_id="replay-night-m1", replay_of="m1")
    retry = msgspec.structs.replace(retry, subject=f"retry.reviewer.{seen.subject}")

    found = rows([seen, again, retry])

    assert ["event", "replay", "retry"] == [row.kind for row in found]
    assert "again (replay night)" in found[1].text
    assert "m1" == found[1].details["replay_of"]
    assert "put back for the reviewer: 42!7 open" in found[2].text
