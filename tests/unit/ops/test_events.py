"""What `gca events` takes for a merge request."""

from __future__ import annotations

import pytest

from libs.common.errors import AgentError
from services.ops.events import parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("42!7", ("42", 7)),
        ("group/app!7", ("group/app", 7)),
        ("a-group/sub.group/my_app!123", ("a-group/sub.group/my_app", 123)),
    ],
)
def test_an_id_or_a_path_and_a_number(text, expected):
    assert expected == parse(text)


@pytest.mark.parametrize(
    "text", ["", "42", "42-7", "app!7", "!7", "42!x", "42!", "../x!1", "a b!1", "a//b!1", "42!7\n"]
)
def test_anything_else_is_refused_in_a_sentence(text):
    with pytest.raises(AgentError, match="is not a merge request; write PROJECT!IID"):
        parse(text)
