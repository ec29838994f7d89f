"""Files of the session's working tree as they are on disk, read so that nothing can lead astray.

Called by `own_git`. The session wrote all of it: each folder on the way is opened without following
links, a file is read once, and what is not a plain file is said in words for the model. Blocking.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

LARGEST = 64 * 1024 * 1024
"""Bytes of all files of one change; the publisher takes no more."""
LONGEST_PATH = 4_000
LINK, SUBMODULE = "120000", "160000"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Unfit(Exception):
    """Why this path cannot be part of the change."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A path of the change; `content` is None where the file is gone."""

    path: str
    mode: str = ""
    content: bytes | None = None


def relative(name: str, clone: Path) -> str:
    """The path in the repository that `name` means; raises `Unfit`."""
    path = name.removeprefix(f"{clone}/").removeprefix("./")
    parts = path.split("/")
    if not path or path.startswith("/") or ".." in parts:
        raise Unfit("is outside of the repository")
    if any(part in ("", ".") for part in parts):
        raise Unfit("name a file by its path from the top of the repository")
    if any(part.rstrip(". ").lower() in (".git", "git~1") for part in parts):
        raise Unfit("the .git folder is not part of a change")
    if "\0" in path or len(path) > LONGEST_PATH or path.encode(errors="replace") != _bytes(path):
        raise Unfit("is no name of a file")
    return path


def _bytes(path: str) -> bytes:
    return path.encode(errors="surrogatepass")


def look(clone: Path, path: str, tracked: Mapping[str, str], room: int) -> Found:
    """What is there now; `tracked` has the modes of the pinned commit. Raises `Unfit`.

    `room` is how many bytes the file may have.
    """
    if tracked.get(path) == LINK:
        raise Unfit("is a symbolic link; links are not changed here")
    if tracked.get(path) == SUBMODULE:
        raise Unfit("is a submodule; submodules are not changed here")
    with contextlib.ExitStack() as stack:
        try:
            place = _folder_of(clone, path, stack)
            return _file(place, path, tracked, room)
        except FileNotFoundError:
            return _gone(path, tracked)
        except OSError as error:
            raise Unfit(f"cannot be read ({error.strerror})") from None


def ancestors(path: str) -> Iterator[str]:
    """The folders above, nearest first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _folder_of(clone: Path, path: str, stack: contextlib.ExitStack) -> int:
    """An open folder that the path is in; each one on the way is what it seems."""
    place = _opened(os.open(clone, _FOLDER), stack)
    _check_ignore_file(place)
    for part in path.split("/")[:-1]:
        seen = os.stat(part, dir_fd=place, follow_symlinks=False)
        if stat.S_ISLNK(seen.st_mode):
            raise Unfit("lies behind a symbolic link")
        if not stat.S_ISDIR(seen.st_mode):
            raise FileNotFoundError
        place = _opened(os.open(part, _FOLDER, dir_fd=place), stack)
        _check_ignore_file(place)
        with contextlib.suppress(FileNotFoundError):
            os.stat(".git", dir_fd=place, follow_symlinks=False)
            raise Unfit("lies in another repository, which has a .git of its own")
    return place


def _opened(descriptor: int, stack: contextlib.ExitStack) -> int:
    stack.callback(os.close, descriptor)
    return descriptor


def _check_ignore_file(place: int) -> None:
    """Git would not follow a link there, and would wait for ever at a pipe."""
    with contextlib.suppress(FileNotFoundError):
        seen = os.stat(".gitignore", dir_fd=place, follow_symlinks=False)
        if not stat.S_ISREG(seen.st_mode):
            raise Unfit("a .gitignore above it is a link or no plain file; put a file there")


def _file(place: int, path: str, tracked: Mapping[str, str], room: int) -> Found:
    name = path.rpartition("/")[2]
    seen = os.stat(name, dir_fd=place, follow_symlinks=False)
    if stat.S_ISDIR(seen.st_mode):
        if path in tracked:
            return Found(path=path)
        raise Unfit("is a folder; name the files in it")
    if stat.S_ISLNK(seen.st_mode):
        raise Unfit("is a symbolic link; links are not taken")
    if not stat.S_ISREG(seen.st_mode):
        raise Unfit("is no plain file")
    with os.fdopen(os.open(name, _FILE, dir_fd=place), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise Unfit("is no plain file")
        content = file.read(room + 1)
    if len(content) > room:
        raise Unfit(f"is too large; all files together may have {LARGEST // 2**20} MB")
    mode = "100755" if status.st_mode & stat.S_IXUSR else "100644"
    return Found(path=path, mode=mode, content=content)


def _gone(path: str, tracked: Mapping[str, str]) -> Found:
    if path in tracked:
        return Found(path=path)
    raise Unfit("there is no such file")
