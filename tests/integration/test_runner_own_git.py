"""SR-34: what a session leaves in its clone, however hostile, is at most a patch of named files."""

from __future__ import annotations

import os
import subprocess

import pytest

from libs.common.git.errors import GitError
from services.runner.own_git import LARGEST_PATCH, MOST_FILES, OwnGit
from tests.fakes.task_door import running_task_door
from tests.integration.git_door_repository import submodule
from tests.integration.runner_world import World, merge_request

pytestmark = pytest.mark.real
FILES = {
    "a.py": b"a = 1\n",
    "crlf.txt": b"one\r\ntwo\r\n",
    "data.bin": b"a\0b",
    "folder/inner.txt": b"inner\n",
    "run.sh": b"#!/bin/sh\n",
    ".gitignore": b"dist/\n",
    "link": b"\0link/etc/passwd",
    "lib": submodule(),
}


class Clone:
    """A clone at its pinned commit, our git directory beside it, and a trap that must not run."""

    def __init__(self, folder, made, own):
        self.folder = folder
        self.made = made
        self.own = own
        self.trap = folder.parent / "trapped"

    def write(self, path, content):
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)

    def git(self, *arguments):
        return subprocess.run(
            ["git", "-C", str(self.folder), *arguments], check=True, capture_output=True
        ).stdout

    def trapped(self):
        """A command that leaves a trace."""
        return f"touch {self.trap}; cat"

    async def propose(self, *names):
        proposal = await self.own.propose(names)
        assert not self.trap.exists()
        return proposal

    def applied(self, patch):
        """The tree that the patch makes of the pinned commit: content by path."""
        index = {**os.environ, "GIT_INDEX_FILE": str(self.folder.parent / "index")}
        git = ["git", "-C", str(self.made.origin.path)]
        subprocess.run([*git, "read-tree", self.made.spec.head_sha], check=True, env=index)
        subprocess.run([*git, "apply", "--cached", "-"], input=patch, check=True, env=index)
        listed = subprocess.run(
            [*git, "ls-files", "-s", "-z"], check=True, env=index, capture_output=True
        ).stdout.decode()
        rows = (row.partition("\t") for row in listed.split("\0") if row)
        return {path: tuple(columns.split()[:2]) for columns, _, path in rows}

    def blob(self, sha):
        git = ["git", "-C", str(self.made.origin.path), "cat-file", "blob", sha]
        return subprocess.run(git, check=True, capture_output=True).stdout


@pytest.fixture
async def clone(tmp_path):
    made = merge_request(tmp_path, base=FILES, head={"a.py": b"a = 2\n"})
    async with running_task_door(made.spec) as door:
        world = await World(tmp_path / "work", made, door).cloned()
    folder = world.contract.repository
    own = await OwnGit.made(tmp_path / "work" / "own", folder, made.spec.head_sha)
    return Clone(folder, made, own)


async def test_only_named_files_are_in_the_patch(clone):
    clone.write("a.py", b"a = 3\n")
    clone.write("b.py", b"b = 1\n")
    (clone.folder / "folder/inner.txt").unlink()

    proposal = await clone.propose("a.py", "folder/inner.txt")

    assert proposal.files == ("a.py", "folder/inner.txt")
    assert proposal.left_out == ("b.py",)
    assert proposal.problems == ()
    after = clone.applied(proposal.patch)
    assert clone.blob(after["a.py"][1]) == b"a = 3\n"
    assert "folder/inner.txt" not in after
    assert "b.py" not in after


async def test_the_same_files_can_be_proposed_again(clone):
    clone.write("a.py", b"a = 3\n")
    first = await clone.propose("a.py")
    clone.write("b.py", b"b = 1\n")

    second = await clone.propose("b.py")

    assert first.files == ("a.py",)
    assert (second.files, second.left_out) == (("b.py",), ("a.py",))


async def test_nothing_of_the_session_s_git_folder_runs_or_counts_sr_34(clone):
    """SR-34, SR-15: configuration, hooks, fsmonitor, filters, textconv, excludes, index."""
    trap = clone.trapped()
    for name, value in {
        "core.fsmonitor": f"sh -c '{trap}'",
        "core.hooksPath": str(clone.folder / ".git/traps"),
        "filter.trap.clean": f"sh -c '{trap}'",
        "filter.trap.process": f"sh -c '{trap}'",
        "diff.trap.textconv": f"sh -c '{trap}'",
        "diff.trap.command": f"sh -c '{trap}'",
        "diff.external": f"sh -c '{trap}'",
        "core.pager": f"sh -c '{trap}'",
        "core.editor": f"sh -c '{trap}'",
        "core.autocrlf": "true",
        "diff.noprefix": "true",
        "diff.algorithm": "patience",
    }.items():
        clone.git("config", name, value)
    for hook in ("pre-commit", "post-index-change", "post-checkout", "fsmonitor-watchman"):
        clone.write(f".git/traps/{hook}", f"#!/bin/sh\n{trap}\n".encode())
        (clone.folder / ".git/traps" / hook).chmod(0o755)
    clone.write(".gitattributes", b"* filter=trap diff=trap text eol=crlf ident\n")
    clone.write(".git/info/attributes", b"* filter=trap diff=trap\n")
    clone.write(".git/info/exclude", b"*\n")
    clone.write(".git/index", b"broken")
    clone.write("a.py", b"a = 3 # $Id$\r\n")

    proposal = await clone.propose("a.py")

    assert proposal.files == ("a.py",)
    assert proposal.left_out == (".gitattributes",)
    assert b"--- a/a.py" in proposal.patch
    after = clone.applied(proposal.patch)
    assert clone.blob(after["a.py"][1]) == b"a = 3 # $Id$\r\n"


async def test_a_git_folder_that_is_gone_takes_only_the_patch_with_it(clone):
    clone.write("a.py", b"a = 3\n")
    (clone.folder / ".git").rename(clone.folder.parent / "elsewhere")
    (clone.folder / ".git").write_text("gitdir: /etc")

    with pytest.raises(GitError):
        await clone.propose("a.py")


async def test_a_repository_of_its_own_inside_the_clone_is_not_taken(clone):
    trap = clone.trapped()
    for folder in ("nested", "lib"):
        clone.write(f"{folder}/inner.py", b"x\n")
        clone.git("init", "-q", folder)
        clone.write(f"{folder}/.git/config", f'[core]\n\tfsmonitor = "{trap}"\n'.encode())

    proposal = await clone.propose("nested/inner.py", "nested", "lib", "lib/inner.py")

    assert proposal.files == ()
    assert len(proposal.problems) == 4


async def test_links_are_never_followed_or_taken(clone):
    (clone.folder / "a.py").unlink()
    (clone.folder / "a.py").symlink_to("/etc/passwd")
    (clone.folder / "new").symlink_to("/etc")
    (clone.folder / "folder/inner.txt").unlink()
    (clone.folder / "folder").rmdir()
    (clone.folder / "folder").symlink_to("/etc")
    clone.write("link", b"/etc/shadow")

    proposal = await clone.propose("a.py", "new", "new/passwd", "folder/inner.txt", "link")

    assert proposal.files == ()
    assert [problem.partition(": ")[0] for problem in proposal.problems] == [
        *("a.py", "new", "new/passwd", "folder/inner.txt", "link")
    ]
    assert all("link" in problem for problem in proposal.problems)


@pytest.mark.parametrize("kind", ["link", "pipe"])
async def test_a_gitignore_that_is_no_plain_file_is_refused(clone, kind):
    (clone.folder / ".gitignore").unlink()
    clone.write("a.py", b"a = 3\n")
    if kind == "link":
        (clone.folder / ".gitignore").symlink_to("/etc/passwd")
    else:
        clone.write("folder/new.txt", b"x")
        (clone.folder / ".gitignore").write_bytes(b"")
        os.mkfifo(clone.folder / "folder/.gitignore")
        proposal = await clone.own.propose(["folder/new.txt"])
        assert ".gitignore" in proposal.problems[0]
        return

    proposal = await clone.propose("a.py")

    assert proposal.files == ()
    assert ".gitignore" in proposal.problems[0]


@pytest.mark.parametrize(
    "name",
    [
        *("", "/etc/passwd", "../x", "a/../../x", ".git/config", ".GIT/config", ".git", "."),
        *("git~1/config", ".git /config", "a//b", "missing.py", "folder", "folder/", "a\0b"),
        *("x" * 5000, "\ud800"),
    ],
)
async def test_paths_that_are_none_of_the_change_are_refused(clone, name):
    clone.write("a.py", b"a = 3\n")

    proposal = await clone.propose("a.py", name)

    assert proposal.files == ("a.py",)
    assert len(proposal.problems) == 1


async def test_an_absolute_path_inside_is_one_of_the_clone(clone):
    clone.write("a.py", b"a = 3\n")

    proposal = await clone.propose(str(clone.folder / "a.py"), "./a.py")

    assert (proposal.files, proposal.problems) == (("a.py",), ())


async def test_an_unchanged_file_is_refused(clone):
    clone.write("b.py", b"b\n")

    proposal = await clone.propose("run.sh", "b.py")

    assert proposal.files == ("b.py",)
    assert "as it was" in proposal.problems[0]


async def test_ignored_files_are_refused_even_when_named(clone):
    clone.write("dist/out.js", b"x\n")

    proposal = await clone.propose("dist/out.js")

    assert proposal.files == ()
    assert "ignores" in proposal.problems[0]


async def test_a_folder_may_take_a_file_s_place_when_both_are_named(clone):
    (clone.folder / "a.py").unlink()
    clone.write("a.py/inner.py", b"x\n")

    half = await clone.propose("a.py/inner.py")
    whole = await clone.propose("a.py/inner.py", "a.py")

    assert half.files == ()
    assert "name a.py, too" in half.problems[0]
    assert set(whole.files) == {"a.py/inner.py", "a.py"}
    assert "a.py/inner.py" in clone.applied(whole.patch)


async def test_a_file_may_take_a_folder_s_place_when_its_files_are_named(clone):
    (clone.folder / "folder/inner.txt").unlink()
    (clone.folder / "folder").rmdir()
    clone.write("folder", b"x\n")

    half = await clone.propose("folder")
    whole = await clone.propose("folder", "folder/inner.txt")

    assert half.files == ()
    assert set(whole.files) == {"folder", "folder/inner.txt"}
    assert clone.applied(whole.patch)["folder"][0] == "100644"


ODD = ("with space", 'quo"te', "größe/数", "new\nline", "tab\there", "-rf", ":(glob)x", "a,b", "é")


async def test_odd_names_line_ends_and_binaries_survive_byte_for_byte(clone):
    contents = {name: f"{name}\n".encode() for name in ODD}
    contents |= {"crlf.txt": b"one\ntwo\r\nthree", "data.bin": bytes(range(256)) * 100, "e": b""}
    for name, content in contents.items():
        clone.write(name, content)

    proposal = await clone.propose(*contents)

    assert proposal.problems == ()
    after = clone.applied(proposal.patch)
    assert {name: clone.blob(after[name][1]) for name in contents} == contents


@pytest.mark.parametrize(("mode", "expected"), [(0o755, "100755"), (0o6777, "100755")])
async def test_of_mode_bits_only_the_executable_one_counts(clone, mode, expected):
    (clone.folder / "run.sh").chmod(mode)

    proposal = await clone.propose("run.sh")

    assert proposal.files == ("run.sh",)
    assert clone.applied(proposal.patch)["run.sh"][0] == expected


async def test_twenty_thousand_stray_files_change_nothing(clone):
    for number in range(20_000):
        clone.write(f"many/{number // 500}/{number}", b"x")
    clone.write("a.py", b"a = 3\n")

    proposal = await clone.propose("a.py")

    assert proposal.files == ("a.py",)
    assert len(proposal.left_out) == 100


async def test_the_most_files_fit_into_one_command(clone):
    names = [f"many/{'n' * 200}{number}" for number in range(MOST_FILES)]
    for name in names:
        clone.write(name, b"x")

    proposal = await clone.propose(*names)

    assert proposal.files == tuple(names)


async def test_a_patch_of_more_than_10_mb_is_said_to_be_one(clone):
    clone.write("huge.bin", os.urandom(LARGEST_PATCH))

    proposal = await clone.propose("huge.bin")

    assert (proposal.files, proposal.patch) == ((), b"")
    assert "larger than 10 MB" in proposal.problems[0]


async def test_a_sparse_file_of_terabytes_is_not_read(clone):
    with (clone.folder / "huge").open("wb") as file:
        file.truncate(2**40)

    proposal = await clone.propose("huge")

    assert "64 MB" in proposal.problems[0]


async def test_files_that_change_under_our_eyes_make_a_whole_patch_or_none(clone):
    clone.write("a.py", b"a = 3\n")
    proposal = await clone.propose("a.py")
    clone.write("a.py", b"a = 4\n")

    assert clone.blob(clone.applied(proposal.patch)["a.py"][1]) == b"a = 3\n"


async def test_whether_anything_is_changed_is_known(clone):
    before = await clone.own.changed()
    clone.write("dist/out.js", b"x\n")
    ignored = await clone.own.changed()
    clone.write("new", b"")

    assert (before, ignored, await clone.own.changed()) == (False, False, True)
