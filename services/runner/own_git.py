"""A git directory of our own for a session that writes: from its files to a patch (SR-34).

Made by `coding` before the session, in a folder that the session's wall does not show. It shares
only the clone's objects. So nothing that a session leaves in the clone has a say in the patch or is
run: no configuration, hook, fsmonitor, filter, attribute, exclude file or index of its making. Not
even `git add` sees its files: those that it names are read by `worktree`, stored byte for byte, and
put into the index by their hash.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog

from libs.common.errors import cut
from libs.common.git.clone import empty_folder, object_format, turn_attributes_off
from libs.common.git.command import Ended, GitCall, end_of_git, run_git
from libs.common.git.errors import GitError, TooLarge
from libs.common.git.tree import parse_changes
from services.runner import worktree
from services.runner.worktree import Found, Unfit

log = structlog.get_logger()
MIB = 1024 * 1024
LARGEST_PATCH = 10 * MIB
MOST_FILES = 500
"""The publisher takes no larger patch, and none of more files."""
LONGEST_LEFT_OUT = 100
LOOK_SECONDS = 30.0
_DIFF = ("diff", "--cached", "--binary", "--full-index", "--no-renames", "--no-color")
_STYLE = ("--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/")


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the named files: those in the patch, and a line for each that is not."""

    patch: bytes = b""
    files: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    """Other paths that differ from the pinned commit."""


class OwnGit:
    """Knows one clone at one commit; `made` it is before the session begins."""

    def __init__(self, folder: Path, clone: Path, head: str, tracked: dict[str, str]) -> None:
        self.folder = folder
        self._clone = clone
        self._head = head
        self._tracked = tracked

    @classmethod
    async def made(cls, folder: Path, clone: Path, head: str) -> OwnGit:
        """From a clone that is checked out at `head`; raises `GitError`."""
        await asyncio.to_thread(empty_folder, folder)
        made = cls(folder, clone, head, {})
        await made._git("prepare", "init", "--quiet", "--template=", *object_format(head))
        await asyncio.to_thread(made._connect)
        listed = await made._git("list files", "ls-files", "--stage", "-z", most=256 * MIB)
        rows = (row.partition("\t") for row in _names(listed))
        made._tracked = {path: columns[:6] for columns, _, path in rows}
        return made

    @property
    def tracked(self) -> Sequence[str]:
        return tuple(self._tracked)

    async def propose(self, names: Sequence[str]) -> Proposal:
        """The named files' patch against the pinned commit; raises `GitError`."""
        await asyncio.to_thread(self._restore_index)
        found, problems = await asyncio.to_thread(self._look, names)
        found, ignored = await self._without_ignored(found)
        found, clashing = _without_clashes(found, self._tracked)
        others = await self._others()
        patch, files, unfit = await self._patch(found)
        left = [path for path in others if path not in files]
        return Proposal(
            patch=patch,
            files=files,
            problems=(*problems, *ignored, *clashing, *unfit),
            left_out=tuple(left[:LONGEST_LEFT_OUT]),
        )

    async def changed(self) -> bool:
        """Whether the session changed anything that git does not ignore."""
        await asyncio.to_thread(self._restore_index)
        return bool(await self._others())

    # --- from names to files -----------------------------------------------------------

    def _look(self, names: Sequence[str]) -> tuple[list[Found], list[str]]:
        found: dict[str, Found] = {}
        problems = []
        room = worktree.LARGEST
        for name in dict.fromkeys(names):
            try:
                path = worktree.relative(name, self._clone)
                found[path] = worktree.look(self._clone, path, self._tracked, room)
                room -= len(found[path].content or b"")
            except Unfit as error:
                problems.append(f"{cut(name)}: {error}")
        return list(found.values()), problems

    async def _without_ignored(self, found: list[Found]) -> tuple[list[Found], list[str]]:
        new = [one.path for one in found if one.path not in self._tracked]
        if not new:
            return found, []
        listed = await self._git(
            "look what is ignored",
            *("ls-files", "-z", "--others", "--exclude-standard"),
            "--",
            *new,
        )
        ignored = set(new) - set(_names(listed))
        why = "git ignores it (a build product?); leave it out, or name it in .gitignore with !"
        return (
            [one for one in found if one.path not in ignored],
            [f"{cut(path)}: {why}" for path in new if path in ignored],
        )

    async def _others(self) -> list[str]:
        """Every path that differs, but for what is ignored; none when there is no telling."""
        kinds = ("--modified", "--deleted", "--others", "--exclude-standard")
        try:
            listed = await self._git("list changes", "ls-files", "-z", *kinds, most=64 * MIB)
        except GitError as error:
            log.warning("changes of the session not listed", why=str(error))
            return []
        return sorted({name.encode(errors="replace").decode() for name in _names(listed)})

    # --- from files to a patch ---------------------------------------------------------

    async def _patch(self, found: list[Found]) -> tuple[bytes, tuple[str, ...], list[str]]:
        if not found:
            return b"", (), []
        said = await self._stage(found)
        if said:
            return b"", (), [f"git does not take these files: {said}"]
        raw = await self._git("compare", "diff-index", "--cached", "--raw", "-z", self._head)
        changed = {path for change in parse_changes(raw) for path in change.paths}
        files = tuple(one.path for one in found if one.path in changed)
        same = [
            f"{cut(one.path)}: is as it was; name only files that you changed"
            for one in found
            if one.path not in changed
        ]
        try:
            patch = await self._git(
                "diff", *_DIFF, *_STYLE, self._head, "--", most=LARGEST_PATCH, seconds=120.0
            )
        except TooLarge:
            most = LARGEST_PATCH // MIB
            return b"", (), [*same, f"the change is larger than {most} MB: make it smaller"]
        return patch, files, same

    async def _stage(self, found: list[Found]) -> str:
        """Into the index; what git has against it, else an empty text."""
        kept = [one for one in found if one.content is not None]
        shas = await self._store([one.content or b"" for one in kept])
        gone = [one.path for one in found if one.content is None]
        steps = []
        if gone:
            steps.append(("update-index", "--force-remove", "--", *gone))
        if kept:
            entries = [
                word
                for one, sha in zip(kept, shas, strict=True)
                for word in ("--cacheinfo", f"{one.mode},{sha},{one.path}")
            ]
            steps.append(("update-index", "--add", "--replace", *entries))
        for step in steps:
            ended = await self._end("stage the files", *step)
            if ended.code != 0:
                return cut(ended.stderr.decode(errors="replace"))
        return ""

    async def _store(self, contents: list[bytes]) -> list[str]:
        if not contents:
            return []
        folder = self.folder / "blobs"

        def write() -> list[str]:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for number, content in enumerate(contents):
                (folder / str(number)).write_bytes(content)
            return [f"blobs/{number}" for number in range(len(contents))]

        files = await asyncio.to_thread(write)
        made = await self._git("store", "hash-object", "-w", "--no-filters", "--", *files)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return made.decode().split()

    # --- the git directory -------------------------------------------------------------

    def _connect(self) -> None:
        git = self.folder / ".git"
        turn_attributes_off(self.folder)
        alternates = git / "objects" / "info"
        alternates.mkdir(parents=True, exist_ok=True)
        (alternates / "alternates").write_text(f"{self._clone / '.git' / 'objects'}\n")
        shutil.copyfile(self._clone / ".git" / "index", git / "index.clean")
        self._restore_index()

    def _restore_index(self) -> None:
        """As the clone was checked out; it knows when, so that unchanged files are not read."""
        git = self.folder / ".git"
        (git / "index.lock").unlink(missing_ok=True)
        shutil.copyfile(git / "index.clean", git / "index")

    async def _git(
        self, what: str, *arguments: str, most: int = 64 * MIB, seconds: float = LOOK_SECONDS
    ) -> bytes:
        return await run_git(self._call(what, arguments, most, seconds))

    async def _end(self, what: str, *arguments: str) -> Ended:
        return await end_of_git(self._call(what, arguments, 64 * MIB, LOOK_SECONDS))

    def _call(self, what: str, arguments: Sequence[str], most: int, seconds: float) -> GitCall:
        # `init` and `hash-object` work in our folder, the others look at the session's files.
        place = (f"--work-tree={self._clone}",) if arguments[0] == "ls-files" else ()
        return GitCall(
            folder=self.folder,
            arguments=(*place, *arguments),
            what=what,
            timeout=seconds,
            max_output=most,
        )


def _without_clashes(found: list[Found], tracked: dict[str, str]) -> tuple[list[Found], list[str]]:
    """A file can take a folder's place only when all that was there goes, and the reverse."""
    gone = {one.path for one in found if one.content is None}
    staying = [path for path in tracked if path not in gone]
    files, folders = set(staying), {above for path in staying for above in worktree.ancestors(path)}
    kept, problems = [], []
    for one in found:
        above = next((path for path in worktree.ancestors(one.path) if path in files), None)
        if one.content is not None and above is not None:
            problems.append(f"{cut(one.path)}: name {cut(above)}, too, which has to go for it")
        elif one.content is not None and one.path in folders:
            problems.append(f"{cut(one.path)}: name the files, too, that were in this folder")
        else:
            kept.append(one)
    return kept, problems


def _names(output: bytes) -> list[str]:
    return [name for name in output.decode(errors="surrogateescape").split("\0") if name]
