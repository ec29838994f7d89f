from __future__ import annotations

from typing import Any

import msgspec
import pytest

from libs.common.events.tasks import (
    Answered,
    Artifact,
    ChangesProposed,
    NothingToDo,
    Refused,
    ReviewDone,
    Superseded,
    TaskFailed,
)
from services.ingest.task_result import LARGEST_PATCH, LONGEST_TEXT, Unfit, fitting
from tests.samples import HEAD, review_request

CODING = review_request(task_id="coding-42-7-n1031", kind="coding")
ASK = review_request(task_id="ask-42-7-n1031", kind="ask")
PATCH = b"diff --git a/a.py b/a.py\n"


def changes(**changed: Any) -> ChangesProposed:
    known: dict[str, Any] = {
        "task_id": CODING.task_id,
        "head_sha": HEAD,
        "subject": "Test expired vouchers",
        "summary": "One test.",
        "files": ("a.py",),
        "patch": PATCH,
    }
    return ChangesProposed(**(known | changed))


def answered(**changed: Any) -> Answered:
    known: dict[str, Any] = {"task_id": ASK.task_id, "head_sha": HEAD, "answer": "At midnight."}
    return Answered(**(known | changed))


def ending(kind: Any, task_id: str, **fields: Any) -> Any:
    return kind(task_id=task_id, head_sha=HEAD, **fields)


@pytest.mark.parametrize(
    "result",
    [
        changes(),
        changes(patch=bytes(range(256)) * 40_960, files=("a",) * 1000, left_out=("b",) * 1000),
        changes(summary="", subject="é" * LONGEST_TEXT),
        ending(NothingToDo, CODING.task_id, summary=""),
        ending(TaskFailed, CODING.task_id, reason="timeout"),
    ],
    ids=["small", "as large as may be", "long", "nothing", "failed"],
)
def test_what_a_coding_task_may_end_with(result: Any) -> None:
    assert fitting(msgspec.json.encode(result), CODING) == result


@pytest.mark.parametrize(
    "result", [answered(), ending(TaskFailed, ASK.task_id, reason="model", detail="x")]
)
def test_what_an_ask_task_may_end_with(result: Any) -> None:
    assert fitting(msgspec.json.encode(result), ASK) == result


STORED = Artifact(artifact="coding-42-7-n1-patch.x", size=1, digest="SHA-256=x")
UNFIT_CHANGES = {
    "names another task": changes(task_id="coding-42-8-n1"),
    "another head": changes(head_sha="b" * 40),
    "for the task door to say": changes(stored=STORED),
    "is stored is for the task door": changes(patch=b"", stored=STORED),
    "there is no patch": changes(patch=b""),
    "the patch has more than": changes(patch=b"x" * (LARGEST_PATCH + 1)),
    "files has more than 1000": changes(files=("a",) * 1001),
    "left_out has more than 1000": changes(left_out=("a",) * 1001),
    "stages has more than": changes(stages={str(number): 1.0 for number in range(21)}),
    "a path has more than": changes(files=("a" * 4097,)),
    "subject has more than": changes(subject="x" * (LONGEST_TEXT + 1)),
    "summary has more than": changes(summary="x" * (LONGEST_TEXT + 1)),
    "the subject of the commit is empty": changes(subject=" \n"),
    "not a result": ending(ReviewDone, CODING.task_id, summary="x"),
    "not a result that a coding task": answered(task_id=CODING.task_id),
    "not a result that": ending(Superseded, CODING.task_id, by="me"),
    "not a result that a": ending(Refused, CODING.task_id, code="access"),
}


@pytest.mark.parametrize("why", UNFIT_CHANGES)
def test_sr_22_a_coding_result_that_does_not_fit_is_refused(why: str) -> None:
    with pytest.raises(Unfit, match=why):
        fitting(msgspec.json.encode(UNFIT_CHANGES[why]), CODING)


UNFIT_ANSWERS = {
    "help is not for a Job to give": answered(help=True),
    "the answer is empty": answered(answer="  "),
    "answer has more than": answered(answer="x" * (LONGEST_TEXT + 1)),
    "not a result": changes(task_id=ASK.task_id),
    "not a result that an? ask": ending(NothingToDo, ASK.task_id, summary="x"),
}


@pytest.mark.parametrize("why", UNFIT_ANSWERS)
def test_sr_22_an_answer_that_does_not_fit_is_refused(why: str) -> None:
    with pytest.raises(Unfit, match=why):
        fitting(msgspec.json.encode(UNFIT_ANSWERS[why]), ASK)


@pytest.mark.parametrize("patch", [b'"!!!"', b'"YQ"', b"7", b"null", b'"YQ==\\n"', b'"\\ud800"'])
def test_sr_22_a_patch_that_is_no_base64_is_refused(patch: bytes) -> None:
    body = msgspec.json.encode(changes(patch=b"a")).replace(b'"YQ=="', patch)
    with pytest.raises(Unfit):
        fitting(body, CODING)
