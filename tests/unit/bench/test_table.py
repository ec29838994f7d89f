"""The page that is written."""

from __future__ import annotations

from bench.table import Page, Row, markdown, plain

ROWS = [
    Row(name="share", seen="0.80", asked="at least 0.75", holds=True, how="in pairs"),
    Row(name="time", seen="2 s", asked="under 1 s", holds=False, how="a|b"),
    Row(name="rate", seen="1500", how="the same rounds"),
]


def test_a_page_is_one_table_with_what_it_was_measured_on_and_the_lists_behind_it():
    page = Page(
        command="make bench",
        machine=[("Python", "3.11"), ("processor", "x")],
        rows=ROWS,
        lists=[("Calls", ["1 of `GET /x`"])],
    )

    text = markdown(page)

    assert text.startswith("# Speed and size\n\nWritten by `make bench`; do not edit.")
    assert "- Python: 3.11\n- processor: x\n" in text
    assert [
        "| What | Seen | Asked | Holds | How it is measured |",
        "|---|---|---|---|---|",
        "| share | 0.80 | at least 0.75 | yes | in pairs |",
        "| time | 2 s | under 1 s | **no** | a\\|b |",
        "| rate | 1500 |  |  | the same rounds |",
    ] == [line for line in text.splitlines() if line.startswith("|")]
    assert text.endswith("## Calls\n\n- 1 of `GET /x`\n")


def test_a_terminal_shows_what_was_asked_only_where_something_was():
    assert [
        "share  0.80  [at least 0.75: yes]",
        "time   2 s  [under 1 s: no]",
        "rate   1500",
    ] == plain(ROWS).splitlines()


def test_nothing_measured_is_an_empty_table():
    assert "" == plain([])
