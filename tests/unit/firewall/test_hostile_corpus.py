"""SR-24 to SR-29: each hostile text of tests/data/firewall loses its sting and keeps its sense."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from services.publisher.firewall import Policy, clean

DATA = Path(__file__).parents[2] / "data" / "firewall" / "hostile.toml"
CASES = tomllib.loads(DATA.read_text(encoding="utf-8"))["case"]
POLICY = Policy(allowed_hosts=frozenset({"gitlab.example.com"}))


@pytest.mark.parametrize("case", CASES, ids=[f"{c['sr']} {c['name']}" for c in CASES])
def test_a_hostile_text_is_harmless_and_readable(case):
    cleaned = clean(case["text"], policy=POLICY)

    assert cleaned.blocked is None
    shown = " " + cleaned.text
    assert [] == [part for part in case.get("gone", []) if part in shown]
    assert [] == [part for part in case.get("kept", []) if part not in shown]
    assert cleaned.text == clean(cleaned.text, policy=POLICY).text


def test_an_allowed_mention_stays_a_mention_sr_25():
    policy = Policy(allowed_mentions=frozenset({"root"}))

    assert clean("@root. @rooty", policy=policy).text == "@root. \\@rooty"


def test_an_ordinary_remark_is_not_changed():
    text = (
        "`load()` reads **all** rows; use a cursor.\n\n- it is slow for 10 < n\n- a_b stays\n\n"
        "## Why\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nfor row in rows:\n    pass\n```"
    )

    cleaned = clean(text, policy=POLICY)

    assert (text, ()) == (cleaned.text, cleaned.removed)
