"""What a patch made of a tree, and what can be said against it: the words between git and a policy.

`change` reads it from git and hands it to a policy; `services.publisher.patches` is that policy.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Literal, Protocol

import msgspec

from libs.common.git.errors import CloneFailed

TreeStatus = Literal["A", "M", "D", "R", "C", "T"]

LINK = "120000"
SUBMODULE = "160000"
_KNOWN: dict[str, TreeStatus] = {"A": "A", "M": "M", "D": "D", "R": "R", "C": "C", "T": "T"}


class TreeChange(msgspec.Struct, frozen=True, kw_only=True):
    """One entry that differs: paths as in the tree, modes and shas as git writes them.

    On the side where there is nothing, the mode is `000000` and the sha all zeros; both paths are
    always set. A name that is not UTF-8 has surrogate escapes.
    """

    status: TreeStatus
    old_path: str
    new_path: str
    old_mode: str
    new_mode: str
    old_sha: str = ""
    new_sha: str = ""

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.old_path, self.new_path)))


class ProposedTree(msgspec.Struct, frozen=True, kw_only=True):
    """The tree that would be committed: what differs from its parent, and every entry's mode."""

    changes: tuple[TreeChange, ...]
    modes: Mapping[str, str]
    """Of the whole tree by path; a change may clash with a file that it does not touch."""


class PatchRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a patch is not taken; `sentence` is for people, `rule` for tests, logs and metrics."""

    rule: str
    sentence: str
    paths: tuple[str, ...] = ()


class ChangePolicy(Protocol):
    """What `change` asks before it does anything; None means yes."""

    def judge_patch(self, patch: bytes) -> PatchRefusal | None:
        """Before git reads it."""
        ...

    def judge_tree(self, patch: bytes, tree: ProposedTree) -> PatchRefusal | None:
        """Before anything is committed."""
        ...


def parse_changes(output: bytes) -> tuple[TreeChange, ...]:
    """`diff-tree --raw -z`: modes, shas and status, then one path, or two for a rename or copy."""
    fields = iter(_text(output).split("\0"))
    return tuple(_change(field, fields) for field in fields if field)


def parse_modes(output: bytes) -> dict[str, str]:
    """`ls-tree -r -z`: the mode of each path."""
    lines = (line.partition("\t") for line in _text(output).split("\0") if line)
    return {path: columns[:6] for columns, _, path in lines}


def _change(field: str, rest: Iterator[str]) -> TreeChange:
    columns = field.removeprefix(":").split(" ")
    paths = list(islice(rest, 2 if columns[-1][:1] in "RC" else 1))
    if len(columns) != 5 or not paths or columns[4][:1] not in _KNOWN:
        raise CloneFailed("git told a difference that cannot be read")
    return TreeChange(
        status=_KNOWN[columns[4][:1]],
        old_path=paths[0],
        new_path=paths[-1],
        old_mode=columns[0],
        new_mode=columns[1],
        old_sha=columns[2],
        new_sha=columns[3],
    )


def _text(output: bytes) -> str:
    return output.decode(errors="surrogateescape")
