"""Names of spans around events: few, whatever the ids in the subjects are."""

from __future__ import annotations

import pytest

from libs.common.jetstream import messaging


@pytest.mark.parametrize(
    ("subject", "template"),
    [
        ("mr.opened.42.7.abc", "mr.opened.*.*.*"),
        ("task.result.PROJ.123.coding-PROJ-123-9", "task.result.*.*.*"),
        ("retry.reviewer.mr.opened.42.7.abc", "retry.reviewer.mr.opened.*.*.*"),
    ],
)
def test_ids_are_no_part_of_a_name(subject, template):
    assert template == messaging.template(subject)


def test_a_span_says_what_the_conventions_ask_for():
    assert {
        "messaging.system": "nats",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "task.result.42.7.review-42-7-a-0",
        "messaging.destination.template": "task.result.*.*.*",
        "gca.scope": "42",
        "gca.ref": "7",
        "gca.task_id": "review-42-7-a-0",
    } == messaging.attributes("process", "task.result.42.7.review-42-7-a-0")


@pytest.mark.parametrize(
    ("subject", "task_id"),
    [
        ("task.requested.1.2.t", "t"),
        ("retry.publisher.task.result.1.2.t", "t"),
        ("mr.opened.1.2.a", ""),
        ("x", ""),
    ],
)
def test_only_subjects_of_tasks_name_one(subject, task_id):
    assert task_id == messaging.task_of(subject)
