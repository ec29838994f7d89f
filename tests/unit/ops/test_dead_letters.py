"""Which dead letters are meant, and how they read on a terminal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from libs.common.errors import AgentError
from libs.common.jetstream.letters import DeadLetter, Fate
from libs.common.jetstream.reading import Stored
from services.ops.__main__ import parser
from services.ops.dead_letters import Row, Wanted, table, wanted, whole
from services.ops.window import checked_filter, moment

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
LETTER = DeadLetter(
    id=17,
    subject="mr.opened.42.7.aaaaaaaaaaaaaaaa",
    service="reviewer",
    reason="the handler failed or died on it 5 times",
    attempts=6,
    seq=3,
    time=NOW,
    trace_id="0af7651916cd43dd8448eb211c80319c",
)


@pytest.mark.parametrize(
    "which",
    [
        Wanted(),
        Wanted(ids=(3, 17)),
        Wanted(subject="mr.*.42.7.>"),
        Wanted(service="reviewer", reason="DIED on"),
        Wanted(since=NOW, until=NOW),
    ],
)
def test_a_letter_that_fits_everything_given_is_meant(which):
    assert which.takes(LETTER)


@pytest.mark.parametrize(
    "which",
    [
        Wanted(ids=(3,)),
        Wanted(subject="mr.*.43.>"),
        Wanted(subject="mr.opened.42.7"),
        Wanted(service="coder", reason="died"),
        Wanted(since=NOW + timedelta(seconds=1)),
        Wanted(until=NOW - timedelta(seconds=1)),
    ],
)
def test_one_thing_that_does_not_fit_is_enough_to_leave_a_letter_alone(which):
    assert not which.takes(LETTER)


def test_a_letter_that_died_as_a_retry_is_found_by_the_subject_of_its_event():
    retried = DeadLetter(
        subject=f"retry.reviewer.{LETTER.subject}",
        service="reviewer",
        reason="",
        attempts=1,
        seq=9,
        time=NOW,
    )

    assert Wanted(subject="mr.opened.42.7.*").takes(retried)


@pytest.mark.parametrize("width", [None, 60, 100, 200])
def test_the_table_shows_every_column_at_every_width(width):
    lines = table([Row(letter=LETTER)], width=width, colored=False)

    shown = " ".join(" ".join(lines).split())
    for text in ("17", LETTER.subject, "reviewer", "6", LETTER.trace_id, LETTER.reason):
        assert text in shown


def test_what_was_retried_since_is_shown_as_such():
    row = Row(letter=LETTER, fate=Fate(what="retried", at=NOW, seq=31))

    assert "retried" in table([row], width=None, colored=False)[-1]
    assert "#31" in table([row], width=None, colored=False)[-1]


def test_a_letter_is_shown_whole_and_moves_no_cursor():
    stored = Stored(
        subject=f"dead.reviewer.{LETTER.subject}",
        seq=17,
        time=NOW,
        headers={"ce-id": "m1", "Nats-Expected-Stream": "X", "gca-dead-reason": "a\x1b[2Jb"},
        body=b'{"iid":7,"title":"\\u001b[31mred"}',
    )

    lines = whole(Row(letter=LETTER), stored, as_json=False)

    assert '      "iid": 7,' in lines
    assert any("ce-id: m1" in line for line in lines)
    assert not any("Nats-Expected-Stream" in line for line in lines)
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", NOW - timedelta(hours=2)),
        ("2026-01-04T10:00+00:00", datetime(2026, 1, 4, 10, tzinfo=UTC)),
    ],
)
def test_a_time_is_a_span_before_now_or_a_moment(text, expected):
    assert expected == moment(text, NOW, "--since")


def test_what_is_no_time_is_answered_with_the_forms_there_are():
    with pytest.raises(AgentError, match="--until 'soon' is no time; write a span such as 2h"):
        moment("soon", NOW, "--until")


@pytest.mark.parametrize("text", ["", ">.mr", "mr..7", "mr opened", "mr.op*", "mr.>.x"])
def test_what_is_no_filter_is_refused(text):
    with pytest.raises(AgentError, match="is no filter"):
        checked_filter(text)


def test_the_command_line_says_which_letters_are_meant():
    given = parser().parse_args(
        ["dead-letters", "retry", "3", "17", "--subject", "mr.opened.42.>", "--since", "2h"]
    )

    assert Wanted(ids=(3, 17), subject="mr.opened.42.>", since=NOW - timedelta(hours=2)) == wanted(
        given, NOW
    )


@pytest.mark.parametrize("body", [b"[" * 100_000, b"\xff\xfe", b""])
def test_a_letter_that_cannot_be_read_is_shown_all_the_same(body):
    stored = Stored(subject="dead.reviewer.x", seq=17, time=NOW, headers={}, body=body)

    assert whole(Row(letter=LETTER), stored, as_json=False)
    assert whole(Row(letter=LETTER), stored, as_json=True)
