"""Questions to a clone: its diff, its files, one file's content. Nothing here goes online.

Called by the runner: for the context of a session, for its `git_diff` and `git_show` tools, and
to check findings against the diff.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

import msgspec

from libs.common.git.command import GitCall, run_git
from libs.common.git.errors import CloneFailed

MIB = 1024 * 1024
Status = Literal["A", "M", "D", "R", "C", "T"]

_REVISION = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?|refs/gca/[a-z-]+|HEAD")
# The similarity GitLab's own diffs use (Gitaly, CommitDiff): old and new path of a renamed file
# must be the ones GitLab knows, or its positions are refused.
_DIFF = ("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--find-renames=30%")
_REGULAR = ("100644", "100755")


class TreeEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A path of a commit; `mode` as git writes it, `size` in bytes (0 for a submodule)."""

    path: str
    mode: str
    size: int

    @property
    def is_file(self) -> bool:
        """Neither a symbolic link nor a submodule."""
        return self.mode in _REGULAR


class ChangedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a diff; `added` and `removed` count lines and are None for a binary file."""

    old_path: str
    new_path: str
    status: Status
    added: int | None
    removed: int | None


async def diff_text(
    folder: Path,
    base: str,
    head: str,
    paths: Sequence[str] | None = None,
    *,
    max_bytes: int = 32 * MIB,
    timeout: float = 60.0,  # noqa: ASYNC109  # ends a process group, which a cancelled await does not
) -> str:
    """The unified diff of two commits, of all files or of those; `TooLarge` above `max_bytes`."""
    if paths is not None and not paths:
        return ""
    style = ("--patch", "--full-index", "--unified=3", "--src-prefix=a/", "--dst-prefix=b/")
    call = GitCall(
        folder=folder,
        arguments=(*_DIFF, *style, *_commits(base, head), "--", *(paths or ())),
        what="diff",
        timeout=timeout,
        max_output=max_bytes,
    )
    return _text(await run_git(call))


async def show(
    folder: Path,
    rev: str,
    path: str,
    *,
    max_bytes: int = 4 * MIB,
    timeout: float = 30.0,  # noqa: ASYNC109  # as above
) -> bytes | None:
    """A regular file's content at a commit; None when there is no such file.

    A symbolic link or a submodule is no file: what it points at is not part of the commit.
    """
    if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        return None
    tree = ("ls-tree", "-z", "--full-tree", *_commits(rev), "--", path)
    listed = await run_git(GitCall(folder=folder, arguments=tree, what="show", timeout=timeout))
    for entry in listed.split(b"\0"):
        mode, _, rest = _text(entry.partition(b"\t")[0]).partition(" ")
        if mode in _REGULAR:
            blob = ("cat-file", "blob", rest.split()[1])
            call = GitCall(
                folder=folder, arguments=blob, what="show", timeout=timeout, max_output=max_bytes
            )
            return await run_git(call)
    return None


async def list_tree(
    folder: Path,
    rev: str,
    *,
    timeout: float = 30.0,  # noqa: ASYNC109  # as above
) -> list[TreeEntry]:
    """Every path of a commit, in git's order."""
    tree = ("ls-tree", "-r", "-z", "--long", "--full-tree", *_commits(rev))
    call = GitCall(
        folder=folder, arguments=tree, what="list files", timeout=timeout, max_output=64 * MIB
    )
    return [_entry(_text(line)) for line in (await run_git(call)).split(b"\0") if line]


async def numstat(
    folder: Path,
    base: str,
    head: str,
    *,
    timeout: float = 60.0,  # noqa: ASYNC109  # as above
) -> list[ChangedFile]:
    """The changed files with their lines counted, in the order of the diff."""
    call = GitCall(
        folder=folder,
        arguments=(*_DIFF, "--raw", "--numstat", "-z", *_commits(base, head), "--"),
        what="count changed lines",
        timeout=timeout,
        max_output=64 * MIB,
    )
    return parse_numstat(await run_git(call))


def parse_numstat(output: bytes) -> list[ChangedFile]:
    """Pure: `--raw --numstat -z`, where a renamed file takes two more fields for its paths."""
    fields = iter(_text(output).split("\0"))
    statuses: dict[str, Status] = {}
    found: list[ChangedFile] = []
    for field in fields:
        if field.startswith(":"):
            statuses.update(_raw(field, fields))
        elif field:
            found.append(_counted(field, fields, statuses))
    return found


def _raw(field: str, rest: Iterator[str]) -> dict[str, Status]:
    letter = field.rsplit(" ", 1)[1][:1]
    paths = list(islice(rest, 2 if letter in "RC" else 1))
    known: dict[str, Status] = {"A": "A", "D": "D", "R": "R", "C": "C", "T": "T"}
    return {paths[-1]: known.get(letter, "M")}


def _counted(field: str, rest: Iterator[str], statuses: dict[str, Status]) -> ChangedFile:
    added, removed, path = field.split("\t", 2)
    old_path, new_path = (path, path) if path else tuple(islice(rest, 2))
    return ChangedFile(
        old_path=old_path,
        new_path=new_path,
        status=statuses.get(new_path, "M"),
        added=None if added == "-" else int(added),
        removed=None if removed == "-" else int(removed),
    )


def _entry(line: str) -> TreeEntry:
    columns, _, path = line.partition("\t")
    mode, _, _, size = columns.split()
    return TreeEntry(path=path, mode=mode, size=0 if size == "-" else int(size))


def _commits(*revisions: str) -> tuple[str, ...]:
    """Only full shas and our own refs: a revision is never an option or an expression."""
    for revision in revisions:
        if not _REVISION.fullmatch(revision):
            raise CloneFailed("a revision must be a full sha or one of refs/gca/")
    return revisions


def _text(output: bytes) -> str:
    return output.decode(errors="replace")
