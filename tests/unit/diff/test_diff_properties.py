"""Whatever two texts: each line that can be located is the line of the file at that number."""

from __future__ import annotations

import difflib
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.common.diff import Diff, Refusal, line_text, locate, locate_context, parse_diff

LINES = st.lists(
    st.sampled_from(["a", "b", "", "--- a/x", "+++ b/x", "@@ -1 +1 @@", "é\x0c", "\\"])
)


def check_every_line(diff: Diff, path: str, sides: dict[str, list[str]]) -> None:
    for side, lines in sides.items():
        for number in range(1, len(lines) + 2):
            answer = locate(diff, file=path, side=side, line=number)
            if isinstance(answer, Refusal):
                continue
            assert lines[number - 1] == line_text(diff, file=path, side=side, line=number)
            check_other_side(answer, sides)


def check_other_side(position, sides):
    old, new = position.end.old_line, position.end.new_line
    if old is not None and new is not None:
        assert sides["old"][old - 1] == sides["new"][new - 1]


def check_unfolded_lines(diff: Diff, path: str, sides: dict[str, list[str]]) -> None:
    file = diff.file(path)
    if file is None or not file.hunks or file.status != "modified":
        return
    for side, lines in sides.items():
        for number in range(1, len(lines) + 1):
            check_other_side(locate_context(diff, file=path, side=side, line=number), sides)


@given(old=LINES, new=LINES)
def test_located_lines_are_the_lines_of_both_files(old, new):
    body = "\n".join(difflib.unified_diff(old, new, "a/f", "b/f", lineterm=""))
    diff = parse_diff(f"diff --git a/f b/f\nindex 1..2 100644\n{body}\n")

    check_every_line(diff, "f", {"old": old, "new": new})
    check_unfolded_lines(diff, "f", {"old": old, "new": new})


def as_git_counts(text: str) -> list[str]:
    """Lines without the nothing after the last newline."""
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "core.autocrlf=false", *arguments],
        cwd=folder,
        capture_output=True,
        check=True,
    )
    return done.stdout.decode("utf-8", "surrogateescape")


def commit(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, newline="", encoding="utf-8")
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "t", "--allow-empty")


@pytest.mark.real
@pytest.mark.parametrize("name", ["plain.py", "with space.py", 'ü "q"\\.py', "a b/ b"])
@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(old=LINES, new=LINES, last=st.sampled_from(["", "\n", "\r\n"]))
def test_real_git_diffs_are_read_right(tmp_path_factory, name, old, new, last):
    folder = tmp_path_factory.mktemp("repository")
    (folder / name).parent.mkdir(exist_ok=True)
    git(folder, "init", "-q")
    commit(folder, name, "\n".join(old))
    commit(folder, name, "\n".join(new) + last)
    for quoting in ("true", "false"):
        text = git(
            folder,
            "-c",
            f"core.quotePath={quoting}",
            *("diff", "--no-color", "--no-ext-diff", "-M", "-U3"),
            *("--src-prefix=a/", "--dst-prefix=b/", "HEAD~1", "HEAD"),
        )
        sides = {
            "old": as_git_counts("\n".join(old)),
            "new": as_git_counts("\n".join(new) + last),
        }
        diff = parse_diff(text)
        assert [name] * len(diff.files) == [f.new_path for f in diff.files]
        check_every_line(diff, name, sides)
        check_unfolded_lines(diff, name, sides)
