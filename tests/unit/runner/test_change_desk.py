"""Where a change is handed in: what is refused, and what is kept all the same."""

from __future__ import annotations

import pytest

from libs.common.git.errors import GitTimedOut
from services.runner.change_desk import LONGEST_SUBJECT, ChangeDesk, one_line
from services.runner.own_git import MOST_FILES, Proposal


def desk(proposal: Proposal | None = None) -> ChangeDesk:
    async def propose(names):
        given = Proposal(patch=b"p", files=tuple(names))
        return given if proposal is None else proposal

    return ChangeDesk(propose)


def change(*files: str, **more: object) -> dict[str, object]:
    return {"subject": "Do it", "summary": "Done.", "files": list(files), **more}


async def test_a_change_that_fits_is_taken_once():
    one = desk()

    first = await one.submit(change("a.py"))
    again = await one.submit(change("b.py"))

    assert (first.accepted, again.accepted) == (True, True)
    assert one.best is not None
    assert one.best.proposal.files == ("a.py",)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (None, "valid dictionary"),
        ({}, "summary"),
        ("{", "not JSON"),
        (change("a.py", subject=""), "subject"),
        (change("a.py", subject="x" * 73), "at most 72"),
        (change("a.py", subject="a\nb"), "one line"),
        (change("a.py", nothing_to_do=True), "nothing_to_do"),
        (change(*(f"{n}" for n in range(MOST_FILES + 1))), "at most 500 files"),
        (change("x" * 200_001), "at most"),
        (change("a.py", files="a.py"), "files"),
    ],
)
async def test_what_does_not_fit_is_refused_with_words(arguments, said):
    one = desk()

    answer = await one.submit(arguments)

    assert not answer.accepted
    assert said in answer.text
    assert one.accepted is None


async def test_after_two_refusals_the_good_files_are_taken():
    half = Proposal(patch=b"p", files=("a.py",), problems=("b.py: is a folder",))
    one = desk(half)

    answers = [(await one.submit(change("a.py", "b.py"))).accepted for _ in range(3)]

    assert answers == [False, False, True]
    assert one.accepted is not None
    assert one.accepted.proposal == half


async def test_a_refused_change_is_the_best_there_is():
    one = desk(Proposal(patch=b"p", files=("a.py",), problems=("b.py: is a folder",)))

    await one.submit(change("a.py", "b.py", subject="long " * 40))

    assert one.accepted is None
    assert one.best is not None
    assert len(one.best.subject) <= LONGEST_SUBJECT


async def test_a_change_of_nothing_is_never_taken_and_becomes_hopeless():
    one = desk(Proposal(problems=("a.py: is as it was",)))

    for _ in range(8):
        assert not (await one.submit(change("a.py"))).accepted

    assert one.hopeless
    assert one.best is None


async def test_nothing_to_do_is_an_end():
    one = desk()

    answer = await one.submit({"summary": "It is there.", "nothing_to_do": True})

    assert answer.accepted
    assert one.best is not None
    assert one.best.proposal.files == ()


async def test_git_that_fails_is_said_to_the_model():
    async def propose(_):
        raise GitTimedOut("list changes: git was not done in time", peer="gitlab")

    answer = await ChangeDesk(propose).submit(change("a.py"))

    assert not answer.accepted
    assert "not done in time" in answer.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a\n b", "a b"), ("word " * 40, ("word " * 14).strip()), ("x" * 100, "x" * 72)],
)
def test_a_subject_is_one_line_cut_between_words(text, expected):
    assert expected == one_line(text)
