"""Which changed files are reviewed, and why the others are not. Pure; called by `review`.

A skipped file is named with its reason in the summary, so hiding code in one is seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

import msgspec

from libs.common.diff import Diff, FileDiff
from libs.common.events.tasks import SkippedFile
from libs.common.git.read import ChangedFile

MAX_FILES = 300
MAX_LINES = 3000
MAX_CHARACTERS = 200_000
MAX_BYTES = 2 * 1024 * 1024
MAX_TOTAL_BYTES = 24 * 1024 * 1024
"""Both of old and new content together, so that a diff stays below what git's door hands out."""
LONGEST_LINE = 5000

LOCK_FILES = frozenset(
    {
        "package-lock.json",
        "npm-shrinkwrap.json",
        "yarn.lock",
        "pnpm-lock.yaml",
        "bun.lock",
        "bun.lockb",
        "deno.lock",
        "poetry.lock",
        "uv.lock",
        "pdm.lock",
        "pipfile.lock",
        "cargo.lock",
        "go.sum",
        "composer.lock",
        "gemfile.lock",
        "mix.lock",
        "pubspec.lock",
        "podfile.lock",
        "package.resolved",
        "packages.lock.json",
        "gradle.lockfile",
        "flake.lock",
        ".terraform.lock.hcl",
        "conan.lock",
        "paket.lock",
    }
)
VENDORED = frozenset(
    {
        "node_modules",
        "vendor",
        "vendored",
        "third_party",
        "third-party",
        "bower_components",
        ".yarn",
    }
)
_MINIFIED = re.compile(r"[.-](?:min|bundle)\.(?:js|mjs|cjs|css)$|\.(?:js|css)\.map$")
_GENERATED = re.compile(
    r"_pb2(?:_grpc)?\.pyi?$|\.pb(?:\.gw)?\.go$|\.pb\.(?:cc|h)$|\.g\.(?:dart|cs)$|\.generated\.\w+$"
    r"|\.designer\.cs$|\.snap$"
)
_MARKER = re.compile(r"@generated\b|code generated .{0,80}do not edit", re.IGNORECASE)


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """Changed files whose diff is worth reading, and the rest with reasons."""

    files: tuple[ChangedFile, ...]
    skipped: tuple[SkippedFile, ...]

    @property
    def paths(self) -> list[str]:
        """Old and new names, so that git still sees a rename as one."""
        return sorted({path for file in self.files for path in (file.old_path, file.new_path)})


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Files to review, in the order of the diff, and the rest with reasons."""

    reviewed: tuple[FileDiff, ...]
    skipped: tuple[SkippedFile, ...]


def choose(
    changed: Iterable[ChangedFile], sizes: Mapping[str, int], *, max_files: int = MAX_FILES
) -> Chosen:
    """By name, lines and size only: a diff of thousands of files is never read whole.

    `sizes` are the bytes of a path before and after, together.
    """
    files: list[ChangedFile] = []
    skipped: list[SkippedFile] = []
    total = 0
    for file in changed:
        size = max(sizes.get(file.new_path, 0), sizes.get(file.old_path, 0))
        why = _by_count(file) or _by_name(file.new_path) or _by_size(size, total)
        if why is None and len(files) >= max_files:
            why = f"the merge request changes more than {max_files} files; this one came after them"
        if why is None:
            files.append(file)
            total += size
        else:
            skipped.append(SkippedFile(path=file.new_path, why=why))
    return Chosen(files=tuple(files), skipped=tuple(skipped))


def narrow(diff: Diff, already: tuple[SkippedFile, ...] = ()) -> Scope:
    """What is left once the content is known; `already` are the files that `choose` skipped."""
    reasons = [(file, _by_kind(file) or _by_content(file)) for file in diff.files]
    return Scope(
        reviewed=tuple(file for file, why in reasons if why is None),
        skipped=already
        + tuple(SkippedFile(path=file.path, why=why) for file, why in reasons if why is not None),
    )


def _by_count(file: ChangedFile) -> str | None:
    if file.added is None or file.removed is None:
        return "a binary file"
    if file.added + file.removed > MAX_LINES:
        return f"too large: {file.added + file.removed} changed lines (at most {MAX_LINES})"
    return None


def _by_size(size: int, before: int) -> str | None:
    if size > MAX_BYTES:
        return f"too large: a file of {size // 2000} KB"
    if size + before > MAX_TOTAL_BYTES:
        return "the changed files before it are as much as one review can hold"
    return None


def _by_kind(file: FileDiff) -> str | None:
    if file.submodule:
        return "a submodule; its content is in another repository"
    if file.binary:
        return "a binary file"
    if not file.hunks:
        return "only its name or mode changed" if file.status != "added" else "an empty file"
    return None


def _by_name(path: str) -> str | None:
    name = PurePosixPath(path).name.lower()
    if name in LOCK_FILES:
        return "a lock file written by a package manager"
    if VENDORED.intersection(part.lower() for part in PurePosixPath(path).parts[:-1]):
        return "third-party code kept in the repository"
    if _MINIFIED.search(name):
        return "minified or bundled code"
    if _GENERATED.search(name):
        return "generated code, by its name"
    return None


def _by_content(file: FileDiff) -> str | None:
    lines = [line for hunk in file.hunks for line in hunk.lines]
    if sum(len(line.text) for line in lines) > MAX_CHARACTERS:
        return f"too large: more than {MAX_CHARACTERS // 1000} KB of changes"
    if any(len(line.text) > LONGEST_LINE for line in lines):
        return f"minified or encoded: a line of more than {LONGEST_LINE} characters"
    head = [line for line in lines if line.new <= 10]
    if any(_MARKER.search(line.text) for line in head):
        return "generated code, by the marker at its top"
    return None
