from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest import task_subject

SHA16 = "0123456789abcdef"


@pytest.mark.parametrize(
    ("task_id", "expected"),
    [
        (f"review-42-7-{SHA16}-0", ("42", "7")),
        (f"review-42-7-{SHA16}-12", ("42", "7")),
        ("echo-doctor-0-1f2e", ("doctor", "0")),
        (f"review-42-7-{SHA16}-n991", ("42", "7")),
        (f"review-42-7-{SHA16}-0-rabc", ("42", "7")),
        ("coding-42-7-n991", ("42", "7")),
        ("coding-42-7-n991-p2", ("42", "7")),
        ("coding-42-7-n991-p12-r1f", ("42", "7")),
        ("ask-42-7-n991", ("42", "7")),
        ("coding-PROJ-123-10042", ("PROJ", "123")),
        ("coding-A_B2-1-created", ("A_B2", "1")),
    ],
)
def test_the_id_tells_where_its_task_is(task_id: str, expected: tuple[str, str]) -> None:
    assert task_subject.scope_and_ref(task_id) == expected


@pytest.mark.parametrize(
    "task_id",
    [
        "",
        "review",
        "review-42-7",
        "echo-doctor-1-1f2e",
        "echo-42-7-1f2e",
        "review-doctor-0-1f2e",
        f"review-42-7-{SHA16}",
        f"review-42-7-{SHA16}-",
        f"review-PROJ-7-{SHA16}-0",
        f"review-042-7-{SHA16}-0",
        f"review-0-7-{SHA16}-0",
        f"review-42-7-{SHA16[:-1]}-0",
        f"review-42-7-{SHA16.upper()}-0",
        f"review-42-7-{SHA16}-0\n",
        f"review-٤٢-7-{SHA16}-0",
        f"review-42-7-{SHA16}-{'9' * 128}",
        "ask-PROJ-1-n1",
        "coding-proj-1-n1",
        "coding-42-7-*",
        "coding-42-7-n1.>",
        "other-42-7-n1",
    ],
)
def test_what_is_no_id_of_a_task_is_nowhere(task_id: str) -> None:
    assert task_subject.scope_and_ref(task_id) is None
    assert task_subject.requested(task_id) is None
    assert task_subject.result(task_id) is None


@given(st.text() | st.from_regex(r"(review|ask|coding)-.*"))
def test_no_text_raises(task_id: str) -> None:
    subject = task_subject.requested(task_id)
    assert subject is None or subject.startswith("task.requested.")
