"""Reads the clone: what changed, what the target branch says, and the session's folder.

Called by `review`, `coding` and `ask`; the decisions are in `scope`, `instructions` and `prompt`.
"""

from __future__ import annotations

import asyncio
import io
import shutil
import tarfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import structlog

from libs.common.diff import Diff, parse_diff
from libs.common.events.tasks import TaskRequested
from libs.common.git import read as git
from libs.common.git.clone import TARGET
from libs.common.git.command import GitCall, run_git
from libs.common.git.errors import TooLarge
from services.runner import instructions, servers
from services.runner.instructions import Document
from services.runner.scope import Scope, choose, narrow
from services.runner.servers import Servers

log = structlog.get_logger()
LARGEST_DOCUMENT = 1024 * 1024
LARGEST_TARGET = 256 * 1024 * 1024
"""Bytes of a target branch that are copied for its MCP servers."""


async def changes(folder: Path, spec: TaskRequested) -> tuple[Diff, Scope]:
    """The diff of the files under review, and the scope with what was skipped."""
    base, head = spec.diff_refs.base_sha, spec.diff_refs.head_sha
    sizes = await _sizes(folder, base, head)
    chosen = choose(await git.numstat(folder, base, head), sizes)
    diff = parse_diff(await git.diff_text(folder, base, head, chosen.paths))
    scope = narrow(diff, chosen.skipped)
    return Diff(files=scope.reviewed), scope


async def target_documents(folder: Path, changed: Sequence[str] | None) -> list[Document]:
    """Instructions, agents and skills as the target branch has them, never the head (SR-12).

    Those of folders come when a file below is in `changed`; of all folders when that is None.
    """
    try:
        tree = await git.list_tree(folder, TARGET)
    except TooLarge:
        log.warning("no instructions read", why="the target branch has too many files")
        return []
    entries = [(entry.path, entry.mode) for entry in tree if entry.size <= LARGEST_DOCUMENT]
    paths = [path for path, _ in entries] if changed is None else changed
    wishes = instructions.wanted(entries, paths)
    found = []
    for wish in wishes:
        content = await git.show(folder, TARGET, wish.path)
        if content is not None:
            found.append(instructions.document(wish, content))
    return instructions.bounded(found)


async def target_servers(folder: Path) -> Servers:
    """The MCP servers that the target branch asks for, never the head (SR-12)."""
    try:
        tree = await git.list_tree(folder, TARGET)
    except TooLarge:
        return Servers(left_out=("the target branch has too many files",))
    files = []
    for path in servers.order(entry.path for entry in tree if entry.is_file):
        content = await git.show(folder, TARGET, path)
        if content is not None:
            files.append((path, content))
    return servers.read(files)


async def write_target(folder: Path, copy: Path) -> None:
    """The target branch's files below `copy`, without links; raises `GitError`."""
    call = GitCall(
        folder=folder,
        arguments=("archive", "--format=tar", TARGET),
        what="copy the target branch",
        max_output=LARGEST_TARGET,
    )
    packed = await run_git(call)

    def unpack() -> None:
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir(parents=True)
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                path = copy / member.name
                if content is None or not path.resolve().is_relative_to(copy.resolve()):
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.read())
                path.chmod(0o700 if member.mode & 0o100 else 0o600)

    await asyncio.to_thread(unpack)


async def _sizes(folder: Path, *revisions: str) -> Counter[str]:
    """Bytes of each path over all revisions; none when there are too many files to list."""
    sizes: Counter[str] = Counter()
    try:
        for revision in revisions:
            sizes.update(
                {entry.path: entry.size for entry in await git.list_tree(folder, revision)}
            )
    except TooLarge:
        log.warning("file sizes not read", why="too many files")
    return sizes


async def write_files(folder: Path, files: dict[str, str]) -> None:
    """The session's folder, made anew."""

    def write() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="replace")

    await asyncio.to_thread(write)
