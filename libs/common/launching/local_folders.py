"""Folders that tasks left on this machine: found for the sweeper, and removed with care.

Nothing outside the two configured folders is touched, and no symlink is followed: what is in a
clone was written by strangers. Everything here blocks and therefore runs in threads.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from libs.common.launching.local import in_thread, job_in
from libs.common.launching.sweeping import Folder, What

_OURS = ("gca-", "push-", ".gone-")
_GONE = ".gone-"


class LocalFolders:
    """Implements `sweeping.Folders` for the folder of Jobs and the folder of clones."""

    def __init__(self, jobs: Path, clones: Path) -> None:
        self._roots: dict[What, Path] = {"state_folder": jobs, "clone_folder": clones}

    async def found(self) -> list[Folder]:
        return await in_thread(lambda: list(self._found()))

    async def remove(self, folder: Folder) -> bool:
        return await in_thread(lambda: self._remove(folder))

    def _found(self) -> Iterator[Folder]:
        for what, root in self._roots.items():
            for entry in os.scandir(root) if root.is_dir() else ():
                if entry.name.startswith(_OURS) and entry.is_dir(follow_symlinks=False):
                    changed = entry.stat(follow_symlinks=False).st_mtime
                    yield Folder(
                        name=entry.name,
                        what=what,
                        changed_at=datetime.fromtimestamp(changed, UTC),
                        running=self._runs(entry.name),
                    )

    def _remove(self, folder: Folder) -> bool:
        root = self._roots[folder.what]
        path = root / folder.name
        if path.parent != root or path.is_symlink() or not path.is_dir():
            return False
        if self._runs(folder.name):
            return False
        if not folder.name.startswith(_GONE):
            # Away under its name at once: a Job of that name finds none or its own.
            gone = root / f"{_GONE}{folder.name}-{secrets.token_hex(4)}"
            path = path.rename(gone)
        return remove_tree(path)

    def _runs(self, name: str) -> bool:
        job = job_in(self._roots["state_folder"] / name)
        return job is not None and job.phase == "running"


def remove_tree(path: Path) -> bool:
    """Remove a folder with all in it, also where rights were taken away; whether it is gone."""
    shutil.rmtree(path, ignore_errors=True)
    if os.path.lexists(path):
        _give_rights(path)
        shutil.rmtree(path, ignore_errors=True)
    return not os.path.lexists(path)


def _give_rights(path: Path) -> None:
    left = [path]
    while left:
        folder = left.pop()
        with contextlib.suppress(OSError):
            folder.chmod(0o700)
            with os.scandir(folder) as entries:
                left += [folder / e.name for e in entries if e.is_dir(follow_symlinks=False)]
