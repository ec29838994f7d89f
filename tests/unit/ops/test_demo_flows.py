"""How the demo reads a flow's end, its seconds and what kept it, from the log's history."""

from __future__ import annotations

import pytest

from libs.common.events.tasks import ChangesProposed, Refused, Superseded, TaskFailed
from services.ops.demo import flows
from tests.unit.ops.chains import (
    CODING,
    A,
    asked,
    chain,
    coding,
    done,
    opened,
    published,
    requested,
)

PROPOSED = ChangesProposed(
    task_id=CODING, head_sha=A, subject="s", summary="s", files=("a",), stages={"session": 1.5}
)
FAILED = TaskFailed(task_id=CODING, head_sha=A, reason="launch", detail="no bubblewrap")


def test_a_flow_ends_with_its_own_publication_and_not_with_another_s():
    history = chain(opened(), requested(), done(), published(), asked(), coding())

    assert flows.review().published(history) == published()
    assert flows.command().published(history) is None


def test_a_task_that_was_put_on_another_head_is_not_the_end():
    passed = Superseded(task_id=CODING, head_sha=A, by="own commit", next_task_id=f"{CODING}-p2")
    first = chain(asked(), coding(), passed, published("superseded", task_id=CODING))
    last = published(task_id=f"{CODING}-p2")

    assert flows.command().published(first) is None
    assert flows.command().published((*first, *chain(last))) == last


@pytest.mark.parametrize(
    ("history", "words", "log"),
    [
        (chain(), "did the webhook arrive", "logs/ingest.log"),
        (chain(asked()), "alice wrote: /copilot add a test", "logs/coder.log"),
        (chain(asked(), coding()), "requested: add a test", "tasks"),
        (chain(asked(), coding(), FAILED), "failed (launch): no bubblewrap", "tasks"),
        (chain(asked(), coding(), PROPOSED), "changes 1 file", "logs/publisher.log"),
        (
            chain(asked(), coding(), Refused(task_id=CODING, head_sha=A, code="moved")),
            "refused (moved)",
            "logs/publisher.log",
        ),
        (
            chain(asked(), coding(), PROPOSED, published("refused", task_id=CODING, detail="no")),
            "ended as refused: no",
            "logs/publisher.log",
        ),
    ],
)
def test_a_flow_that_did_not_come_says_how_far_and_which_log_to_read(history, words, log):
    flow = flows.command()

    assert words in flow.why_not(history)
    assert log == flows.log_to_read(flow, history)


def test_seconds_are_of_this_flow_alone():
    history = chain(opened(), asked(), coding(), PROPOSED, published(task_id=CODING), requested())

    assert [
        ("seen to task", 2.0),
        ("task to result", 2.0),
        ("result to published", 2.0),
        ("all", 6.0),
        ("  of which session", 1.5),
    ] == flows.command().stages(history)
