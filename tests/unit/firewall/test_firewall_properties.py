"""Properties of the firewall over random hostile texts (SR-24, SR-25, SR-26, SR-28, SR-31)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.publisher.firewall import Policy, clean
from services.publisher.firewall.limits import notice
from services.publisher.markers import read_markers
from tests.unit.firewall.oracles import commands, live_parts

HOME = "https://gitlab.example.com"
POLICY = Policy(allowed_hosts=frozenset({"gitlab.example.com"}))
QUICK_ACTIONS = (  # noqa: SIM905  # 110 quoted words read worse
    "add_child add_contacts add_email add_parent add_todo approve assign assign_reviewer award"
    " blocked_by blocks board_move cc checkin_reminder child_of clear_health_status clear_weight"
    " clone close confidential convert_to_ticket copy_metadata create_merge_request done draft due"
    " duplicate epic estimate estimate_time health_status internal invite_email iteration label"
    " labels link lock merge milestone move page parent promote promote_to promote_to_incident"
    " publish react ready reassign reassign_reviewer rebase relabel relate remove_child"
    " remove_contacts remove_due_date remove_email remove_epic remove_estimate remove_iteration"
    " remove_labels remove_link remove_milestone remove_parent remove_reviewer remove_time_spent"
    " remove_zoom reopen request_changes request_review resolve_discussion restore_label"
    " run_pipeline severity ship shrug spend spend_time spent status submit_review subscribe"
    " tableflip tag target_branch timeline title todo type unapprove unassign unassign_reviewer"
    " unblock unlabel unlink unlock unrelate unsubscribe weight wip zoom"
).split()
BEFORE = ["", " ", "\t", "\r", "\n", "> ", "- ", "1. ", ">>", "\u200b", "\u202e", "\ufeff", "x\r"]
PIECES = st.sampled_from(
    [
        *("/close", "/merge x", "@all", "#1", "!2", "~bug", "$3", "%v", "&4", "&#64;all", "&lt;"),
        *(
            "`",
            "``",
            "```",
            "````",
            "~~~",
            "```\n",
            "\n```\n",
            "```py\n",
            "\\",
            "\\`",
            "|",
            "\n|-|-|\n",
        ),
        *("<!--", "-->", "<b>", "<", ">", "<img src=x>", "[", "]", "](", ")", "![", "(", "[TOC]"),
        *(
            "https://evil.example/x",
            HOME + "/a",
            "www.evil.example",
            "://",
            ":",
            "[a](https://e.x)",
        ),
        *(
            f"[a]({HOME}/x)",
            "\n",
            "\n\n",
            "\r",
            " ",
            "a",
            "word ",
            "> ",
            "- ",
            "    ",
            ">>>",
            "---\n",
        ),
        *(
            "<!-- gca:v1 task=t item=i -->",
            "\u200b",
            "\u2028",
            "GL-1",
            "^a",
            "*",
            "_",
            "::include",
            "é",
        ),
    ]
)
TEXTS = st.one_of(st.lists(PIECES, max_size=14).map("".join), st.text(max_size=60))


@pytest.mark.parametrize("name", QUICK_ACTIONS)
def test_no_quick_action_survives_sr_24(name):
    for before in BEFORE:
        for command in (f"/{name}", f"/{name.upper()} @all"):
            text = clean(f"{before}{command}\n{before}{command}", policy=POLICY).text
            assert [] == commands(text)
            assert f"\\/{name}" in text.lower()


@settings(max_examples=400, deadline=None)
@given(TEXTS)
@example("````\n/close\n```\n/merge\n````\n```\n/x\n```")
def test_no_line_starts_a_command_sr_24(text):
    assert [] == commands(clean(text, policy=POLICY).text)


@settings(max_examples=400, deadline=None)
@given(TEXTS)
@example("`a`https://evil.example``b``")
@example("#[1](https://evil.example) !![2](https://evil.example) #`3|`4")
@example("|-|\n#`1|@x`2 `3@|b@`all")
@example("<[img src=x](https://evil.example)")
@example("[a `b](https://gitlab.example.com/x) c`@all")
def test_nothing_is_live_outside_code_sr_25_sr_26(text):
    assert [] == live_parts(clean(text, policy=POLICY).text, HOME)


@settings(max_examples=400, deadline=None)
@given(TEXTS)
@example("&lt;!--")
def test_cleaning_twice_changes_nothing(text):
    once = clean(text, policy=POLICY).text

    assert once == clean(once, policy=POLICY).text


@settings(max_examples=200, deadline=None)
@given(TEXTS)
@example("\\")
@example("\\<!-- gca:v1 task=t item=i -->")
def test_no_marker_survives_sr_28(text):
    cleaned = clean(f"{text}\n<!-- gca:v1 task=t item=summary -->\n{text}", policy=POLICY).text

    assert () == read_markers(cleaned)
    assert "<!-- gca" not in cleaned


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, min_size=20, max_size=60).map("".join), st.integers(80, 300))
def test_a_long_text_is_cut_with_a_notice_and_stays_safe_sr_31(text, limit):
    policy = Policy(allowed_hosts=POLICY.allowed_hosts, max_chars=limit)
    cleaned = clean(text, policy=policy)

    assert len(cleaned.text) <= limit
    assert ("cut" in cleaned.removed) == cleaned.text.endswith(notice(limit))
    assert [] == commands(cleaned.text) + live_parts(cleaned.text, HOME)
    assert cleaned.text == clean(cleaned.text, policy=policy).text


@contextmanager
def count_calls() -> Iterator[list[int]]:
    """Python function calls made inside, as a measure of work that no clock disturbs."""
    calls = [0]

    def profile(_frame, event, _arg):
        calls[0] += event in {"call", "c_call"}

    sys.setprofile(profile)
    try:
        yield calls
    finally:
        sys.setprofile(None)


UNITS = (
    *(
        "`",
        "` ``",
        "[",
        "[a](",
        "<!--",
        "<",
        "@",
        "\\",
        "a",
        "aA+",
        "https://",
        "&#64;",
        "1.",
        "> ",
    ),
    *("|-", "```\n", "~~~\n", "/x\n", "\n", "<!-- -->", "![a](x:", "www.", "\u200b", "token='"),
)


@pytest.mark.parametrize("unit", UNITS)
def test_work_grows_with_length_not_faster(unit):
    def work(size: int) -> int:
        with count_calls() as calls:
            clean(unit * (size // len(unit)), policy=Policy(max_chars=1_000_000))
        return calls[0]

    assert work(16_000) <= 2.5 * work(8_000) + 500


@pytest.mark.parametrize(
    "unit", ["`", "` ``", "[a](", "<!--", "aA+", "glpat- ", "a\n", "1.", "\n>"]
)
@pytest.mark.parametrize(("size", "limit"), [(60_000, 1_000_000), (1_000_000, 8_000)])
def test_no_pattern_is_slower_than_its_text(unit, size, limit):
    """A pattern that is not linear would run into the time-out of the suite."""
    text = unit * (size // len(unit))

    cleaned = clean(text, policy=Policy(secrets=("not-in-there",), max_chars=limit))

    assert cleaned.blocked is None
    assert len(cleaned.text) <= limit
