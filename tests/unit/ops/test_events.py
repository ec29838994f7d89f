"""What `gca events` takes for a merge request or an issue."""

from __future__ import annotations

import pytest

from libs.common.errors import AgentError
from services.ops.events import About, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("42!7", About(scope="42", number=7)),
        ("group/app!7", About(scope="group/app", number=7)),
        ("a-group/sub.group/my_app!123", About(scope="a-group/sub.group/my_app", number=123)),
        ("PROJ-123", About(scope="PROJ", number=123, is_issue=True)),
        ("A_1-9", About(scope="A_1", number=9, is_issue=True)),
    ],
)
def test_a_merge_request_by_id_or_path_or_an_issue(text, expected):
    assert expected == parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "42",
        "42-7",
        "app!7",
        "!7",
        "42!x",
        "42!",
        "../x!1",
        "a b!1",
        "a//b!1",
        "42!7\n",
        "proj-1",
        "PROJ-0",
        "PROJ-1 ",
    ],
)
def test_anything_else_is_refused_in_a_sentence(text):
    with pytest.raises(AgentError, match="is not a merge request; write PROJECT!IID"):
        parse(text)
