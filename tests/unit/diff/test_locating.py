"""`locate` against the rules of GitLab's discussions with position (behaviours 25 to 30)."""

from __future__ import annotations

import hashlib

import pytest

from libs.common.diff import Refusal, line_code, line_text, locate, locate_context, parse_diff
from libs.common.events.tasks import Point, Position

DIFF = parse_diff("""\
diff --git a/a.py b/b.py
similarity index 90%
rename from a.py
rename to b.py
index 1111111..2222222 100644
--- a/a.py
+++ b/b.py
@@ -1,3 +1,4 @@
 one
-two
+TWO
+2.5
 three
@@ -20,2 +21,3 @@
 twenty
+new
 twenty one
diff --git a/gone.py b/gone.py
deleted file mode 100644
index 1..0
--- a/gone.py
+++ /dev/null
@@ -1,2 +0,0 @@
-a
-b
diff --git a/i.png b/i.png
index 1..2 100644
Binary files a/i.png and b/i.png differ
diff --git a/p b/q
similarity index 100%
rename from p
rename to q
""")
SHA = hashlib.sha1(b"b.py").hexdigest()


def point(old, new, code):
    return Point(old_line=old, new_line=new, line_code=f"{SHA}_{code}")


def at(end, start=None):
    return Position(old_path="a.py", new_path="b.py", end=end, start=start)


def message(answer):
    assert isinstance(answer, Refusal)
    return answer.message


def test_an_added_line_has_only_its_new_number():
    assert at(point(None, 2, "3_2")) == locate(DIFF, file="b.py", side="new", line=2)


def test_a_removed_line_has_only_its_old_number():
    assert at(point(2, None, "2_2")) == locate(DIFF, file="a.py", side="old", line=2)


@pytest.mark.parametrize(("side", "line"), [("new", 4), ("old", 3)])
def test_a_context_line_has_both_numbers_from_either_side(side, line):
    assert at(point(3, 4, "3_4")) == locate(DIFF, file="b.py", side=side, line=line)


def test_a_range_sits_on_its_end_line():
    expected = at(point(3, 4, "3_4"), start=point(None, 2, "3_2"))

    assert expected == locate(DIFF, file="b.py", side="new", line=2, end_line=4)


def test_a_deleted_file_is_named_twice_and_hashed_by_its_name():
    answer = locate(DIFF, file="gone.py", side="old", line=2)

    assert answer == Position(
        old_path="gone.py",
        new_path="gone.py",
        end=Point(old_line=2, new_line=None, line_code=line_code("gone.py", 2, 0)),
    )


def test_the_line_code_is_the_one_a_real_server_recorded():
    assert line_code("README.md", 0, 1) == "8ec9a00bfd09b3190ac6b22251dbb1aa95a0579d_0_1"


def test_a_missing_line_names_those_that_are_there():
    assert (
        message(locate(DIFF, file="b.py", side="new", line=99))
        == "b.py: line 99 is not in the diff on the new side; lines that are: 1-4, 21-23"
    )


def test_a_range_across_hunks_is_refused_with_the_hunks():
    answer = message(locate(DIFF, file="b.py", side="new", line=3, end_line=22))

    assert "cross from one hunk" in answer
    assert "1-4, 21-23" in answer


@pytest.mark.parametrize(
    ("file", "line", "end", "part"),
    [
        ("b.pi", 1, 1, "did you mean b.py"),
        ("zzz", 1, 1, "files that are: b.py, gone.py, i.png, q"),
        ("i.png", 1, 1, "is binary"),
        ("q", 1, 1, "renamed without a change"),
        ("b.py", 0, 1, "no range"),
        ("b.py", 3, 2, "no range"),
        ("gone.py", 1, 1, "lines that are: none"),
    ],
)
def test_refusals_say_what_is_wrong_in_plain_words(file, line, end, part):
    assert part in message(locate(DIFF, file=file, side="new", line=line, end_line=end))


@pytest.mark.parametrize(
    ("side", "line", "old", "new"),
    [("new", 10, 9, 10), ("old", 9, 9, 10), ("new", 30, 28, 30), ("old", 28, 28, 30)],
)
def test_a_line_outside_the_hunks_gets_both_numbers(side, line, old, new):
    expected = at(point(old, new, f"{old}_{new}"))

    assert expected == locate_context(DIFF, file="b.py", side=side, line=line)


def test_unfolding_is_refused_where_the_whole_file_is_in_the_diff():
    assert "lines that are: 1-2" in message(
        locate_context(DIFF, file="gone.py", side="old", line=3)
    )


def test_the_text_of_a_line_is_read_from_its_side():
    assert ("TWO", "two", None) == (
        line_text(DIFF, file="b.py", side="new", line=2),
        line_text(DIFF, file="b.py", side="old", line=2),
        line_text(DIFF, file="b.py", side="new", line=99),
    )
