"""What is still to do for a review, from what GitLab shows: pure."""

from __future__ import annotations

from libs.common.events.tasks import Finding
from libs.common.gitlab.models import Discussion, Note
from services.publisher import plan
from services.publisher.fingerprints import fingerprint, named, place
from services.publisher.markers import marker

ME, SOMEBODY = 7, 8


def finding(line: int = 3, comment: str = "Careful.", text: str = "x = 1") -> Finding:
    return Finding(
        file="a.py",
        side="new",
        line=line,
        end_line=line,
        severity="warning",
        comment=comment,
        line_text=text,
    )


def thread(found: Finding, task_id: str, *, author: int = ME, resolved: bool = False) -> Discussion:
    body = f"text\n\n{marker(task_id, fingerprint(found))}"
    note = Note(id=1, body=body, author_id=author, resolvable=True, resolved=resolved)
    return Discussion(id=f"d-{task_id}-{found.line}", notes=(note,))


def test_the_same_line_has_the_same_place_on_a_later_head():
    assert place(finding(line=3)) == place(finding(line=30))
    assert place(finding(text="x = 1")) != place(finding(text="x = 2"))


def test_lines_without_text_are_told_apart_by_number():
    assert place(finding(line=3, text="")) != place(finding(line=4, text=""))


def test_a_finding_said_twice_in_one_review_is_posted_once():
    twice = [finding(), finding(comment="careful. "), finding(comment="Something else.")]

    assert ["Careful.", "Something else."] == [item.finding.comment for item in named(twice)]


def test_what_this_task_posted_already_is_not_posted_again():
    found = plan.ours([thread(finding(), "t1")], ME)

    todo = plan.todo(named([finding(), finding(line=9, text="y = 2")]), found, "t1")

    assert [9] == [item.finding.line for item in todo.missing]
    assert ["d-t1-3"] == [discussion_id for _, discussion_id in todo.present]


def test_sr_28_a_marker_in_somebody_elses_note_means_nothing():
    found = plan.ours([thread(finding(), "t1", author=SOMEBODY)], ME)

    assert plan.Ours() == found


def test_an_open_thread_of_an_earlier_review_silences_one_finding_at_its_place():
    found = plan.ours([thread(finding(line=3), "earlier")], ME)
    wanted = named([finding(line=5), finding(line=5, comment="Another remark.")])

    todo = plan.todo(wanted, found, "t2")

    assert ["Careful."] == [item.finding.comment for item in todo.still_open]
    assert ["Another remark."] == [item.finding.comment for item in todo.missing]


def test_a_resolved_thread_silences_nothing():
    found = plan.ours([thread(finding(), "earlier", resolved=True)], ME)

    assert 1 == len(plan.todo(named([finding()]), found, "t2").missing)


def test_the_oldest_of_our_summaries_is_the_one_kept_up_to_date():
    notes = [
        Note(id=number, body=f"text\n\n{marker(task, plan.SUMMARY)}", author_id=ME)
        for number, task in ((11, "t1"), (12, "t2"))
    ]
    discussions = [Discussion(id=str(n.id), individual_note=True, notes=(n,)) for n in notes]

    found = plan.ours(discussions, ME)

    assert found.summary is not None
    assert (11, "t1") == (found.summary.note_id, found.summary.task_id)
    assert found.of_task("t1")
    assert not found.of_task("t2")


def test_a_finding_that_people_resolved_is_not_said_again_of_the_same_head():
    first, again, later = (
        f"review-42-7-{'a' * 16}-0",
        f"review-42-7-{'a' * 16}-rx",
        "review-42-7-b-0",
    )
    found = plan.ours([thread(finding(), first, resolved=True)], ME)

    same = plan.todo(named([finding(), finding(comment="Another.")]), found, again)
    moved = plan.todo(named([finding()]), found, later)

    assert ["Another."] == [item.finding.comment for item in same.missing]
    assert () == same.still_open
    assert 1 == len(moved.missing)
