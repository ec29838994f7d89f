"""Names of replays, and whether a command may be served once more."""

from __future__ import annotations

import msgspec
import pytest

from libs.common import replaying
from libs.common.events.tasks import (
    Answered,
    ChangesProposed,
    NothingToDo,
    Refused,
    Superseded,
    TaskFailed,
    TaskPublished,
)
from tests.unit.ops.chains import CODING, A, asked, chain, coding

PROPOSED = ChangesProposed(task_id=CODING, head_sha=A, subject="s", summary="", files=("a",))
FAILED = TaskFailed(task_id=CODING, head_sha=A, reason="model")


def told(outcome: str = "posted", **fields: object) -> TaskPublished:
    return TaskPublished(task_id=CODING, outcome=outcome, **fields)


@pytest.mark.parametrize(
    ("task_id", "first"),
    [
        (CODING, CODING),
        (f"{CODING}-p2", CODING),
        (f"{CODING}-rnight_1", CODING),
        (f"{CODING}-rnight_1-p12", CODING),
        ("coding-PROJ-12-10457-rx", "coding-PROJ-12-10457"),
    ],
)
def test_the_first_id_is_the_one_without_replay_and_pin(task_id, first):
    assert first == replaying.first_id(task_id)


def test_a_replay_is_known_by_its_message_id_and_by_nothing_else():
    (seen,) = chain(asked())
    named = msgspec.structs.replace(
        seen, replay_of="m-1-x", message_id=replaying.message_id("night", "m-1-x")
    )

    assert "" == replaying.replay_id(seen)
    assert "night" == replaying.replay_id(named)
    for changed in ({"replay_of": "other"}, {"message_id": "m-1-x"}, {"replay_of": ""}):
        assert "" == replaying.replay_id(msgspec.structs.replace(named, **changed))


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((), CODING),
        ((coding(),), ""),
        ((coding(), PROPOSED), ""),
        ((coding(), PROPOSED, told(commit_sha=A)), ""),
        ((coding(), PROPOSED, told("failed", commit_sha=A)), ""),
        ((coding(), PROPOSED, told(merge_request_iid=9)), ""),
        ((coding(), PROPOSED, told("refused")), f"{CODING}-rx"),
        ((coding(), FAILED), f"{CODING}-rx"),
        ((coding(), FAILED, told("failed")), f"{CODING}-rx"),
        ((coding(), Refused(task_id=CODING, head_sha=A, code="budget")), f"{CODING}-rx"),
        ((coding(), NothingToDo(task_id=CODING, head_sha=A, summary=""), told()), f"{CODING}-rx"),
        ((coding(), Answered(task_id=CODING, head_sha=A, answer="so"), told()), ""),
        ((coding(), Superseded(task_id=CODING, head_sha=A, by="x")), f"{CODING}-rx"),
        (
            (
                coding(),
                Superseded(task_id=CODING, head_sha=A, by="x", next_task_id=f"{CODING}-p2"),
                coding(task_id=f"{CODING}-p2"),
            ),
            "",
        ),
        ((coding(), FAILED, coding(task_id=f"{CODING}-rother")), ""),
        ((coding(), FAILED, coding(task_id=f"{CODING}-rx")), f"{CODING}-rx"),
    ],
)
def test_a_command_is_served_once_more_only_if_it_left_nothing(events, expected):
    assert expected == replaying.next_id(CODING, "x", chain(*events))
