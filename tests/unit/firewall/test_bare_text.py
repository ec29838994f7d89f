"""Text for commit messages and titles, where a backslash would stop nothing (SR-24, SR-25)."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.publisher.firewall import Policy, bare
from tests.unit.firewall.oracles import commands

POLICY = Policy(
    allowed_hosts=frozenset({"gitlab.example.com"}), secrets=("glpat-canary-of-our-own",)
)
_ALIVE = re.compile(r"@\w|[#!&$]\d|~\w|%\w|GL-\d")
HOSTILE = st.text(alphabet="/@#!~%&$ \n\r\t>-*1.[]abc:\u200b\u202e`\\", max_size=80)


def text(given_text: str) -> str:
    return bare(given_text, policy=POLICY).text


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("Fix the loader", "Fix the loader"),
        ("/merge", "/ merge"),
        ("x\r/close\n> /approve", "x\n/ close\n> / approve"),
        ("Closes #4 and group/other!5", "Closes # 4 and group/other! 5"),
        ("ask @all, ~bug, %1.0, &7, $3", "ask @ all, ~ bug, % 1.0, & 7, $ 3"),
        ("see https://evil.test/x", "see https: //evil.test/x"),
        (
            "Closes https://gitlab.example.com/a/b/-/issues/4",
            "Closes https: //gitlab.example.com/a/b/-/issues/4",
        ),
        ("see https://gitlab.example.com/a/b", "see https://gitlab.example.com/a/b"),
        ("Tidy up [skip ci]", "Tidy up [ skip ci]"),
        ("a\u200b\u202eb", "ab"),
        ("C# and 50% of src/a.py", "C# and 50% of src/a.py"),
    ],
)
def test_what_gitlab_would_act_on_gets_a_space(given_text, shown):
    assert shown == text(given_text)


@given(HOSTILE)
def test_sr_24_no_line_is_a_command_and_no_reference_is_alive(hostile):
    shown = text(hostile)

    assert [] == commands(shown)
    assert _ALIVE.search(shown) is None


@given(HOSTILE)
def test_cleaning_twice_changes_nothing(hostile):
    assert text(hostile) == text(text(hostile))


def test_sr_27_a_secret_blocks_the_text():
    cleaned = bare("use glpat-canary-of-our-own", policy=POLICY)

    assert "" == cleaned.text
    assert "canary" not in (cleaned.blocked or "")
