"""Findings are placed by the diff, never believed; nothing that was found is lost."""

from __future__ import annotations

import msgspec
import pytest

from libs.common.diff import Refusal
from libs.common.events.tasks import Finding
from services.runner.desk import REFUSALS, Desk
from services.runner.findings import place
from services.runner.submission import SubmittedFinding, read
from tests.unit.runner.diffs import two_hunks


def submitted(**changes) -> SubmittedFinding:
    given = {
        "file": "shop/cart.py",
        "side": "new",
        "line": 2,
        "severity": "error",
        "comment": "Wrong.",
    }
    return SubmittedFinding.model_validate(given | changes)


def review(*findings, summary="A review.") -> dict:
    return {"summary": summary, "findings": [one.model_dump() for one in findings]}


def placed(**changes) -> Finding:
    finding = place(submitted(**changes), two_hunks())
    assert isinstance(finding, Finding)
    return finding


def refused(**changes) -> str:
    answer = place(submitted(**changes), two_hunks())
    assert isinstance(answer, Refusal)
    return answer.message


def test_a_finding_on_an_added_line_has_its_position_and_the_line_itself():
    finding = placed(line=2)

    assert finding.position is not None
    assert (finding.position.end.old_line, finding.position.end.new_line) == (None, 2)
    assert finding.line_text == "two"
    assert finding.end_line == 2


def test_a_range_keeps_both_ends():
    finding = placed(line=1, end_line=3)

    assert finding.position is not None
    assert finding.position.start is not None
    assert (finding.position.start.new_line, finding.position.end.new_line) == (1, 3)


def test_a_range_written_backwards_is_turned_round():
    finding = placed(line=3, end_line=1)

    assert (finding.line, finding.end_line) == (1, 3)


def test_a_removed_line_is_on_the_old_side():
    finding = placed(side="old", line=21)

    assert finding.position is not None
    assert (finding.position.end.old_line, finding.position.end.new_line) == (21, None)
    assert finding.line_text == "old"


@pytest.mark.parametrize("path", ["a/shop/cart.py", "b/shop/cart.py", "./shop/cart.py"])
def test_paths_as_models_spell_them_are_understood(path):
    assert placed(file=path).file == "shop/cart.py"


def test_a_refusal_names_the_lines_that_would_do():
    assert "1-4, 21-23" in refused(line=99)


def test_a_refusal_on_a_deleted_file_names_the_other_side():
    assert "use side 'old'" in refused(file="gone.py", line=1)


def test_a_file_outside_the_diff_is_refused():
    assert refused(file="README.md") == "README.md: this file is not in the diff"


def test_a_suggestion_replaces_the_finding_s_lines_when_it_names_none():
    finding = placed(line=1, end_line=2, suggestion="x")

    assert (finding.suggestion_start, finding.suggestion_end) == (1, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"side": "old", "line": 21, "suggestion": "x"},
        {"suggestion": "x", "suggestion_start": 5, "suggestion_end": 3},
        {"suggestion": "x", "suggestion_start": 0, "suggestion_end": 2},
        {"suggestion": "x" * 9000},
    ],
)
def test_a_suggestion_that_cannot_be_applied_is_left_out(changes):
    finding = placed(**changes)

    assert (finding.suggestion, finding.suggestion_start, finding.suggestion_end) == (None,) * 3


@pytest.mark.parametrize(
    ("lines", "replaced", "covered"),
    [
        ({"line": 2}, (2, 3), (2, 3)),
        ({"line": 2}, (1, 2), (1, 2)),
        ({"line": 2}, (3, 4), (2, 4)),
        ({"line": 2, "end_line": 3}, (1, 4), (1, 4)),
        ({"line": 1, "end_line": 4}, (2, 3), (1, 4)),
    ],
)
def test_a_finding_grows_to_the_lines_its_suggestion_replaces_sr_29(lines, replaced, covered):
    first, last = replaced
    finding = placed(**lines, suggestion="x", suggestion_start=first, suggestion_end=last)

    assert (finding.line, finding.end_line) == covered
    assert finding.position is not None
    assert finding.position.start is not None
    assert (finding.position.start.new_line, finding.position.end.new_line) == covered
    assert (finding.suggestion_start, finding.suggestion_end) == replaced


def test_a_finding_that_grew_is_known_again_by_the_line_it_remarked_on():
    finding = placed(line=2, suggestion="x", suggestion_start=2, suggestion_end=3)

    assert finding.line_text == placed(line=2).line_text


@pytest.mark.parametrize("replaced", [(2, 5), (2, 22), (10**8, 10**8)])
def test_a_suggestion_outside_of_the_finding_s_hunk_is_refused_with_the_lines_that_do_sr_29(
    replaced,
):
    first, last = replaced
    message = refused(suggestion="x", suggestion_start=first, suggestion_end=last)

    assert message.startswith("shop/cart.py:2: its suggestion replaces ")
    assert "1-4, 21-23" in message


def test_a_model_that_insists_on_such_a_suggestion_keeps_its_finding_s_line():
    desk = Desk(two_hunks(), most=200)
    wrong = review(submitted(suggestion="x", suggestion_start=2, suggestion_end=22))

    answers = [desk.submit(wrong) for _ in range(REFUSALS + 1)]

    assert [answer.accepted for answer in answers] == [False] * REFUSALS + [True]
    assert desk.accepted is not None
    [finding] = desk.accepted.findings
    assert finding.position == placed(line=2).position
    assert (finding.suggestion_start, finding.suggestion_end) == (2, 22)


def test_an_empty_suggestion_removes_lines():
    assert placed(suggestion="").suggestion == ""


@pytest.mark.parametrize("line", [0, -1, 10**9])
def test_impossible_lines_are_refused(line):
    assert refused(line=line)


def test_a_good_review_is_recorded():
    desk = Desk(two_hunks(), most=200)

    answer = desk.submit(review(submitted()))

    assert answer.accepted
    assert desk.accepted is not None
    assert [finding.line for finding in desk.accepted.findings] == [2]


def test_a_line_outside_the_diff_is_refused_twice_then_kept_with_the_file():
    desk = Desk(two_hunks(), most=200)
    wrong = review(submitted(), submitted(line=99, comment="Elsewhere."))

    answers = [desk.submit(wrong).accepted for _ in range(3)]

    assert answers == [False, False, True]
    assert desk.accepted is not None
    assert [(f.line, f.position is None) for f in desk.accepted.findings] == [
        (2, False),
        (99, True),
    ]


def test_a_finding_about_an_unchanged_file_ends_in_the_summary():
    desk = Desk(two_hunks(), most=200)
    for _ in range(3):
        desk.submit(review(submitted(file="README.md", comment="Mention it.")))

    assert desk.accepted is not None
    assert desk.accepted.findings == ()
    assert "README.md, line 2: Mention it." in desk.accepted.summary


def test_more_findings_than_allowed_are_refused_then_cut():
    desk = Desk(two_hunks(), most=3)
    many = review(*[submitted(comment=f"No. {n}") for n in range(5)])

    first = desk.submit(many)
    desk.submit(many)
    desk.submit(many)

    assert "2 findings too many: at most 3" in first.text
    assert desk.accepted is not None
    assert [f.comment for f in desk.accepted.findings] == ["No. 0", "No. 1", "No. 2"]


def test_a_refused_review_is_still_there_when_the_session_breaks_off():
    desk = Desk(two_hunks(), most=200)
    desk.submit(review(submitted(), submitted(line=99)))

    assert desk.accepted is None
    assert desk.best is not None
    assert len(desk.best.findings) == 2


def test_only_the_first_accepted_review_counts():
    desk = Desk(two_hunks(), most=200)
    desk.submit(review(submitted()))

    desk.submit(review(summary="Another."))

    assert desk.accepted is not None
    assert desk.accepted.summary == "A review."


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"findings": "none"}, "summary"),
        ({"summary": "s", "findings": [{"file": "a.py"}]}, "findings.0.side"),
        (
            {"summary": "s", "findings": [review(submitted())["findings"][0] | {"line": "x"}]},
            "line",
        ),
        ('{"summary": "s", "findings": [', "not JSON"),
        (None, "SubmittedReview"),
        ([1, 2], "SubmittedReview"),
    ],
)
def test_wrong_arguments_are_named(arguments, said):
    problems = read(arguments)

    assert isinstance(problems, list)
    assert said in "\n".join(problems)


@pytest.mark.parametrize("line", [10**30, -(10**30)])
def test_a_number_that_no_result_can_hold_is_refused(line):
    problems = read(
        {"summary": "s", "findings": [{**review(submitted())["findings"][0], "line": line}]}
    )

    assert isinstance(problems, list)


def test_half_a_surrogate_pair_does_not_stop_the_result():
    desk = Desk(two_hunks(), most=200)

    desk.submit(review(submitted(comment="\ud800 odd"), summary="\udfff"))

    assert desk.accepted is not None
    assert msgspec.json.encode(desk.accepted.findings)
    assert desk.accepted.summary == "?"


def test_a_model_that_never_mends_its_review_is_hopeless():
    desk = Desk(two_hunks(), most=200)

    answers = [desk.submit({"summary": 7}).accepted for _ in range(8)]

    assert answers == [False] * 8
    assert desk.hopeless


def test_arguments_written_as_a_text_of_json_are_read():
    assert not isinstance(read('{"summary": "s", "findings": []}'), list)


def test_a_flood_of_problems_is_cut():
    problems = read({"summary": "s", "findings": [{}] * 100})

    assert isinstance(problems, list)
    assert problems[-1] == "and 485 more"


def test_an_answer_to_the_model_is_bounded():
    desk = Desk(two_hunks(), most=200)

    answer = desk.submit(review(*[submitted(file="x" * 400) for _ in range(200)]))

    assert len(answer.text) < 13_000
    assert answer.text.endswith("call submit_review again with the whole review.")
