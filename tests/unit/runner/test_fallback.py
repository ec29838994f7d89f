"""A review in words, for models that do not call the result tool."""

from __future__ import annotations

import json

import pytest

from services.runner.fallback import arguments

FINDING = {"file": "a.py", "side": "new", "line": 1, "severity": "info", "comment": "Hm."}
REVIEW = {"summary": "Good.", "findings": [FINDING]}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(REVIEW),
        f"```json\n{json.dumps(REVIEW, indent=2)}\n```",
        f"Here it is:\n\n```\n{json.dumps(REVIEW)}\n```\nThat is all.",
        f"Here it is: {json.dumps(REVIEW)} That is all.",
        f"```python\nprint([1])\n```\n```json\n{json.dumps(REVIEW)}\n```",
    ],
)
def test_a_review_as_json_is_found(text):
    assert arguments(text) == REVIEW


def test_an_array_of_findings_takes_the_words_around_it_as_summary():
    text = f"Two things.\n```json\n{json.dumps([FINDING])}\n```"

    assert arguments(text) == {"summary": "Two things.", "findings": [FINDING]}


def test_a_bare_array_gets_a_plain_summary():
    assert arguments(json.dumps([FINDING])) == {
        "summary": "Review without a summary.",
        "findings": [FINDING],
    }


def test_what_an_array_leaves_out_is_filled_in():
    found = arguments(json.dumps([{"file": "a.py", "line": 3, "comment": "Hm."}]))

    assert isinstance(found, dict)
    assert (found["findings"][0]["side"], found["findings"][0]["severity"]) == ("new", "warning")


def test_a_finding_that_does_not_fit_does_not_take_the_others_with_it():
    found = arguments(json.dumps({"summary": "s", "findings": [FINDING, {"line": "x"}, 7]}))

    assert found == {"summary": "s", "findings": [FINDING]}


@pytest.mark.parametrize(
    "text", ["", "All is well.", "[1, 2, 3]", '{"a": 1}', "```json\n{broken\n```", "[" * 5000]
)
def test_no_review_is_none(text):
    assert arguments(text) is None


@pytest.mark.timeout(10)
@pytest.mark.parametrize("unit", ["[", "{", '{"a":', "```\n", "```json\n{\n"])
def test_no_text_takes_long(unit):
    assert arguments(unit * 100_000) is None
