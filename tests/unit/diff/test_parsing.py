"""`parse_diff` on every kind of file entry git writes."""

from __future__ import annotations

import pytest

from libs.common.diff import FileDiff, Line, parse_diff

MODIFIED = """\
diff --git a/a.py b/a.py
index 1111111..2222222 100644
--- a/a.py
+++ b/a.py
@@ -1,3 +1,4 @@ def f():
 one
-two
+TWO
+2.5
 three
"""


def only(text: str) -> FileDiff:
    (file,) = parse_diff(text).files
    return file


def test_a_modified_file_has_running_counters_on_both_sides():
    file = only(MODIFIED)

    assert (
        Line("context", 1, 1, "one"),
        Line("removed", 2, 2, "two"),
        Line("added", 3, 2, "TWO"),
        Line("added", 3, 3, "2.5"),
        Line("context", 3, 4, "three"),
    ) == file.hunks[0].lines
    assert ("modified", 2, 1, "def f():") == (
        file.status,
        file.added,
        file.removed,
        file.hunks[0].heading,
    )


QUOTED = r'"a/\303\244 \"q\"\t.py" "b/\303\244 \"q\"\t.py"'
UMLAUT, UMLAUT_B = r'"\303\274.py"', r'"b/\303\274.py"'


@pytest.mark.parametrize(
    ("header", "old", "new", "status"),
    [
        ("diff --git a/n b/n\nnew file mode 100644\nindex 0000000..e69de29\n", "n", "n", "added"),
        ("diff --git a/d b/d\ndeleted file mode 100644\nindex e69..0\n", "d", "d", "deleted"),
        (
            "diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n",
            "x",
            "y",
            "renamed",
        ),
        ("diff --git a/x b/y\nsimilarity index 90%\ncopy from x\ncopy to y\n", "x", "y", "copied"),
        ("diff --git a/m b/m\nold mode 100644\nnew mode 100755\n", "m", "m", "modified"),
        (
            "diff --git a/a b/c d b/a b/c d\nold mode 100644\nnew mode 100755\n",
            "a b/c d",
            "a b/c d",
            "modified",
        ),
        (
            f"diff --git {QUOTED}\nnew file mode 100644\n",
            'ä "q"\t.py',
            'ä "q"\t.py',
            "added",
        ),
        (
            f"diff --git a/plain.py {UMLAUT_B}\nrename from plain.py\nrename to {UMLAUT}",
            "plain.py",
            "ü.py",
            "renamed",
        ),
    ],
)
def test_a_file_without_hunks_is_named_from_its_headers(header, old, new, status):
    file = only(header)

    assert (old, new, status) == (file.old_path, file.new_path, file.status)
    assert () == file.hunks


def test_a_name_with_a_space_loses_the_tab_git_adds():
    file = only(
        "diff --git a/my file.py b/my file.py\nindex 1..2 100644\n"
        "--- a/my file.py\t\n+++ b/my file.py\t\n@@ -1 +1 @@\n-a\n+b\n"
    )

    assert ("my file.py", "my file.py") == (file.old_path, file.new_path)


def test_a_new_file_counts_old_lines_from_zero():
    file = only(
        "diff --git a/n b/n\nnew file mode 100644\nindex 0..1\n--- /dev/null\n+++ b/n\n"
        "@@ -0,0 +1,2 @@\n+a\n+b\n\\ No newline at end of file\n"
    )

    assert (Line("added", 0, 1, "a"), Line("added", 0, 2, "b")) == file.hunks[0].lines
    assert ("n", "n", "added") == (file.old_path, file.new_path, file.status)


def test_missing_newline_notes_are_no_lines():
    file = only(
        "diff --git a/n b/n\nindex 1..2 100644\n--- a/n\n+++ b/n\n@@ -1 +1 @@\n-a\n"
        "\\ No newline at end of file\n+a\n\\ No newline at end of file\n"
    )

    assert ["removed", "added"] == [line.kind for line in file.hunks[0].lines]


def test_text_that_looks_like_headers_stays_text():
    file = only(
        "diff --git a/n b/n\nindex 1..2 100644\n--- a/n\n+++ b/n\n@@ -1,3 +1,3 @@\n"
        " diff --git a/x b/x\n--- a/x\n+++ b/x\n @@ -1 +1 @@\n"
    )

    assert ["diff --git a/x b/x", "-- a/x", "++ b/x", "@@ -1 +1 @@"] == [
        line.text for line in file.hunks[0].lines
    ]


def test_only_newline_ends_a_line():
    file = only(
        "diff --git a/n b/n\nindex 1..2 100644\n--- a/n\n+++ b/n\n@@ -1,2 +1,2 @@\n"
        " one\x0ctwo\u2028three\x85\r\n-x\r\n+y\r\n"
    )

    assert ["one\x0ctwo\u2028three\x85\r", "x\r", "y\r"] == [t.text for t in file.hunks[0].lines]


@pytest.mark.parametrize(
    "notice", ["Binary files a/i.png and b/i.png differ", "GIT binary patch\nliteral 3\nKcmZQz"]
)
def test_binary_files_have_no_lines(notice):
    file = only(f"diff --git a/i.png b/i.png\nindex 1..2 100644\n{notice}\n")

    assert (True, ()) == (file.binary, file.hunks)


def test_a_moved_submodule_is_known_by_its_mode():
    file = only(
        "diff --git a/sub b/sub\nindex 1111111..2222222 160000\n--- a/sub\n+++ b/sub\n"
        "@@ -1 +1 @@\n-Subproject commit 1111111\n+Subproject commit 2222222\n"
    )

    assert file.submodule


def test_a_file_is_found_by_either_name():
    diff = parse_diff(
        "diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n" + MODIFIED
    )

    assert diff.files[0] is diff.file("y") is diff.file("x")
    assert diff.files[1] is diff.file("a.py")
    assert diff.file("z") is None


def test_a_change_of_type_is_found_as_the_new_file():
    diff = parse_diff(
        "diff --git a/x b/x\ndeleted file mode 100644\nindex 1..0\n--- a/x\n+++ /dev/null\n"
        "@@ -1 +0,0 @@\n-a\n"
        "diff --git a/x b/x\nnew file mode 120000\nindex 0..1\n--- /dev/null\n+++ b/x\n"
        "@@ -0,0 +1 @@\n+target\n"
    )

    assert diff.file("x") is diff.files[1]


@pytest.mark.parametrize(
    "text", ["", "\n", "diff --git ", "diff --git a/x", "@@ -1 +1 @@\n+x", MODIFIED[:-12], "é" * 99]
)
def test_strange_text_never_raises(text):
    parse_diff(text)
