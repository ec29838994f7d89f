r"""What is wrong with the name of a changed file, and when two names are one.

Called by `policy`. A name is judged as the strangest file system of a person who clones would read
it: letters without case, compatible forms made equal, invisible characters left out (HFS+), dots
and spaces at the end dropped, `:` and `~1` with their meaning on NTFS. Source of the disguises:
git's own `verify_path` (read-cache.c, path.c, utf8.c), which we go beyond.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from functools import lru_cache

LONGEST_NAME = 255
LONGEST_PATH = 4_000
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
# Letters of no width that Unicode counts as letters (Hangul and Khmer fillers, Braille blank).
_BLANKS = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\u034f\u2065")
_NTFS_GIT = re.compile(r"git~\d+")
_SHORT_NAME = re.compile(r"[^.~]{1,8}~\d{1,6}(\.[^.]{0,3})?")
_RESERVED = re.compile(r'[<>:"|?*]')
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?")


def fold(path: str) -> str:
    """One spelling for all names that some file system takes for the same."""
    if path.isascii():
        folded = path.lower()
    else:
        seen = "".join(char for char in path if not _is_unseen(char))
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())
    if ". " not in folded and "./" not in folded and " /" not in folded:
        return folded.rstrip(". ")
    return "/".join(part.rstrip(". ") for part in folded.split("/"))


def name_problem(path: str, *, new: bool = True) -> str | None:
    """Why this path may not be changed, to follow "the file name … "; None when it may.

    A name that is in the repository already (`new=False`) may be one that Windows cannot hold.
    """
    if not path or path.startswith("/") or re.match(r"[A-Za-z]:[\\/]?", path):
        return "is empty or absolute"
    if len(path) > LONGEST_PATH:
        return "is too long"
    if "\\" in path:
        return "has a backslash, which is a folder on Windows"
    if any(_is_unseen(char) for char in path):
        return "has characters that do not show, or is not UTF-8"
    parts = path.split("/")
    problems = (_part_problem(part, fold(part)) for part in parts)
    found = next(filter(None, problems), None)
    if found or not new:
        return found
    return next(filter(None, map(_windows_problem, parts)), None)


def is_protected_path(path: str, patterns: Iterable[str]) -> bool:
    """A pattern without a slash counts in every folder; `folder/**` is the folder itself, too."""
    folded = fold(path)
    name = folded.rpartition("/")[2]
    for pattern in map(_folded_pattern, patterns):
        rule = pattern.replace("**", "*")
        if fnmatchcase(folded, rule) or ("/" not in rule and fnmatchcase(name, rule)):
            return True
        if pattern.endswith("/**") and folded == pattern[:-3]:
            return True
    return False


def clashes(paths: Iterable[str], tree: Iterable[str]) -> dict[str, str]:
    """Which of `paths` are, as file or by a folder, one name with another spelling in the tree."""
    wanted: dict[str, set[str]] = {}
    for path in paths:
        for prefix in prefixes(path):
            wanted.setdefault(fold(prefix), set()).add(prefix)
    found: dict[str, str] = {}
    known: set[str] = set()
    for path in tree:
        for prefix in prefixes(path):
            if prefix in known:
                break  # and so are the folders above it
            known.add(prefix)
            for spelled in wanted.get(fold(prefix), ()):
                if spelled != prefix:
                    found[spelled] = prefix
    return found


def links_on_the_way(paths: Iterable[str], links: Iterable[str]) -> dict[str, str]:
    """Which of `paths` lie, on some file system, behind one of the symbolic links."""
    folded = {fold(link): link for link in links}
    found: dict[str, str] = {}
    for path in paths:
        for prefix in prefixes(path):
            link = folded.get(fold(prefix))
            if link is not None and link != path:
                found[path] = link
    return found


def prefixes(path: str) -> Iterator[str]:
    """The path and every folder above it, longest first."""
    while path:
        yield path
        path = path.rpartition("/")[0]


@lru_cache(maxsize=1024)
def _folded_pattern(pattern: str) -> str:
    return fold(pattern.strip().removeprefix("/"))


def _part_problem(part: str, folded: str) -> str | None:
    if not folded:
        return "has an empty part, or one of dots only"
    if len(part.encode(errors="replace")) > LONGEST_NAME:
        return "is too long"
    stems = [one.partition(":")[0].rstrip(". ") for one in folded.split("/")]
    if ".git" in stems or any(map(_NTFS_GIT.fullmatch, stems)):
        return "is, or pretends to be, git's own folder"
    return None


def _windows_problem(part: str) -> str | None:
    if part != part.strip() or part.endswith("."):
        return "begins or ends with a space, or ends with a dot"
    if _RESERVED.search(part) or _DEVICE.fullmatch(part.casefold()):
        return "is reserved on Windows"
    if _SHORT_NAME.fullmatch(part):
        return "looks like a short name that Windows gives to another file"
    return None


def _is_unseen(char: str) -> bool:
    if char.isascii():
        return char < " " or char == "\x7f"
    if char in _BLANKS or unicodedata.category(char) in _UNSEEN:
        return True
    # Plane 14 is for tags, which programs leave out even before they are assigned.
    return "\U000e0000" <= char < "\U000e1000"
