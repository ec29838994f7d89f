"""Merge requests of strange shape, by real git: huge ones, binaries, renames, odd names."""

from __future__ import annotations

import msgspec
import pytest

from libs.common.diff import Refusal, locate
from libs.common.events.tasks import ReviewDone, SkippedFile
from libs.common.git.clone import CloneOrder, clone_merge_request
from services.publisher.firewall import GITLAB_CHARS, Policy
from services.publisher.render import Placed, summary_body
from services.runner import gathering
from services.runner.fitting import LARGEST, fitted
from services.runner.scope import MAX_FILES
from tests.integration.runner_world import merge_request

pytestmark = pytest.mark.real
ODD_NAMES = (
    "with space.py",
    'with "quotes".py',
    "with 'single'.py",
    "back\\slash.py",
    "tab\there.py",
    "bücher/größe.py",
    "日本語.py",
    "🙂.py",
    "-leading-dash.py",
    "b/ in the middle b/x.py",
)


async def changes(tmp_path, made):
    spec = made.spec
    order = CloneOrder(
        folder=tmp_path / "clone",
        clone_url=spec.clone_url,
        head_sha=spec.head_sha,
        base_sha=spec.diff_refs.base_sha,
        target_branch=spec.target_branch,
        allow_file=True,
    )
    cloned = await clone_merge_request(order, token="")
    return await gathering.changes(cloned.folder, spec)


async def test_a_diff_of_3000_files_is_reviewed_in_part_and_the_rest_is_named(tmp_path):
    files = {f"src/m{number:04}.py": b"x = 1\n" for number in range(3000)}
    made = merge_request(tmp_path, head=files)

    diff, scope = await changes(tmp_path, made)

    assert len(diff.files) == len(scope.reviewed) == MAX_FILES
    assert len(scope.skipped) == 3000 - MAX_FILES
    assert "after them" in scope.skipped[-1].why
    review = ReviewDone(
        task_id=made.spec.task_id,
        head_sha=made.spec.head_sha,
        summary="Large.",
        files_reviewed=tuple(file.path for file in scope.reviewed),
        skipped=scope.skipped,
    )
    assert len(msgspec.json.encode(fitted(review))) <= LARGEST
    body = summary_body(review, made.spec, Placed(), policy=Policy())
    assert len(body) < GITLAB_CHARS
    assert "and 2,650 more files" in body


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_a_file_with_an_odd_name_is_reviewed_on_its_lines(tmp_path, name):
    made = merge_request(tmp_path, head={name: b"one = 1\ntwo = 2\n"})

    diff, scope = await changes(tmp_path, made)

    assert [name] == [file.path for file in scope.reviewed]
    position = locate(diff, file=name, side="new", line=2)
    assert not isinstance(position, Refusal)
    assert (name, name, 2) == (position.old_path, position.new_path, position.end.new_line)


async def test_a_renamed_file_keeps_both_names_on_its_lines(tmp_path):
    body = b"".join(b"line %d\n" % number for number in range(40))
    made = merge_request(
        tmp_path,
        base={"old name.py": body},
        head={"old name.py": None, "new/name.py": body.replace(b"line 7\n", b"line seven\n")},
    )

    diff, scope = await changes(tmp_path, made)

    assert ["renamed"] == [file.status for file in scope.reviewed]
    position = locate(diff, file="new/name.py", side="new", line=8)
    assert not isinstance(position, Refusal)
    assert ("old name.py", "new/name.py") == (position.old_path, position.new_path)


async def test_files_without_lines_are_skipped_with_their_reason(tmp_path):
    made = merge_request(
        tmp_path,
        base={"moved.txt": b"same\n" * 20, "kept.py": b"a = 1\n"},
        head={
            "moved.txt": None,
            "elsewhere.txt": b"same\n" * 20,
            "logo.png": b"\x89PNG\0\0\0",
            "empty.py": b"",
            "kept.py": b"a = 2\n",
        },
    )

    _, scope = await changes(tmp_path, made)

    assert ["kept.py"] == [file.path for file in scope.reviewed]
    assert {
        SkippedFile(path="elsewhere.txt", why="only its name or mode changed"),
        SkippedFile(path="logo.png", why="a binary file"),
        SkippedFile(path="empty.py", why="an empty file"),
    } == set(scope.skipped)


async def test_a_merge_request_of_binaries_only_needs_no_model(tmp_path):
    made = merge_request(tmp_path, head={"logo.png": b"\x89PNG\0\0\0"})

    diff, scope = await changes(tmp_path, made)

    assert diff.files == ()
    assert [SkippedFile(path="logo.png", why="a binary file")] == list(scope.skipped)
