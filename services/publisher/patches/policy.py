"""The rules themselves: a patch and the tree it makes go in, a refusal or nothing comes out.

Built by the publisher's wiring for one task (who asked, what the CI file includes) and handed to
`libs.common.git.change`. Sentences name the file, the rule and what a person can do.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from libs.common.git.tree import LINK, SUBMODULE, PatchRefusal, ProposedTree, TreeChange
from services.publisher.firewall import one_line_code
from services.publisher.firewall.policy import PROTECTED_PATHS
from services.publisher.patches.names import (
    clashes,
    fold,
    is_protected_path,
    links_on_the_way,
    name_problem,
)
from services.publisher.patches.text import PatchText, UnreadablePatch, read_patch

MIB = 1024 * 1024
MAINTAINER = 40
"""GitLab's access level."""
ALLOWED_MODES = ("100644", "100755")
_NOTHING = "000000"
_MOST_NAMED = 3


class PatchPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What one task's patch may do; everything that is not named here is refused.

    Protected paths (design, section 6) open only to a Maintainer, and only when the operator said
    so; the other rules open to nobody.
    """

    protected_paths: tuple[str, ...] = PROTECTED_PATHS
    ci_includes: tuple[str, ...] = ()
    """Files of the repository that its CI file includes, as `include: local` names them."""
    allow_protected: bool = False
    requester_access: int = 0
    """GitLab's access level of the person who asked, looked up by the caller."""
    max_bytes: int = 10 * MIB
    max_files: int = 500
    max_unpacked: int = 64 * MIB
    """Bytes of all binary files together after git has unpacked them."""

    def judge_patch(self, patch: bytes) -> PatchRefusal | None:
        """Before git reads it: what would cost too much, lie, or lead outside."""
        if len(patch) > self.max_bytes:
            return _refusal("size", f"The patch is larger than {self.max_bytes // MIB} MB.")
        try:
            claimed = read_patch(patch)
        except UnreadablePatch as error:
            return _refusal("unreadable", f"The patch cannot be read: {error}.")
        if claimed.unpacked > self.max_unpacked:
            most = f"{self.max_unpacked // MIB} MB"
            return _refusal("size", f"The binary files in the patch are larger than {most}.")
        return self._too_many(claimed.paths) or _claims_problem(claimed)

    def judge_tree(self, patch: bytes, tree: ProposedTree) -> PatchRefusal | None:
        """Before the commit: what the tree would be, whatever the patch said."""
        touched = tuple(dict.fromkeys(path for change in tree.changes for path in change.paths))
        return (
            self._too_many(touched)
            or _first(map(_kind_problem, tree.changes))
            or _first(map(_name_refusal, tree.changes))
            or _unannounced(touched, patch)
            or self._protected(touched)
            or _behind_links(tree)
            or _same_names(tree)
        )

    def _too_many(self, paths: tuple[str, ...]) -> PatchRefusal | None:
        if len(paths) <= self.max_files:
            return None
        return _refusal(
            "files", f"It changes {len(paths)} files; {self.max_files} is the most at once."
        )

    def _protected(self, paths: Iterable[str]) -> PatchRefusal | None:
        rules = (*self.protected_paths, *self.ci_includes)
        touched = [path for path in paths if is_protected_path(path, rules)]
        if not touched or (self.allow_protected and self.requester_access >= MAINTAINER):
            return None
        need = "the setting ALLOW_PROTECTED_PATHS=true and a request by a Maintainer"
        if self.allow_protected:
            need = "a request by a Maintainer"
        text = f"It would change {_named(touched)}, which is protected; that needs {need}."
        return _refusal("protected", text, *touched)


def _claims_problem(claimed: PatchText) -> PatchRefusal | None:
    for path in claimed.paths:
        if problem := name_problem(path, new=False):
            return _refusal("path", f"The file name {_named([path])} {problem}.", path)
    for path, mode in claimed.new_modes:
        if mode not in ALLOWED_MODES:
            return _mode_refusal(mode, path)
    return None


def _mode_refusal(mode: str, path: str) -> PatchRefusal:
    file = _named([path])
    if mode == LINK:
        return _refusal("link", f"It would make or change the symbolic link {file}.", path)
    if mode == SUBMODULE:
        return _refusal("submodule", f"It would change the submodule {file}.", path)
    text = f"It would give {file} the mode {mode}; only plain and executable files are allowed."
    return _refusal("mode", text, path)


def _kind_problem(change: TreeChange) -> PatchRefusal | None:
    """A link may go away, and no more; a submodule may not even do that."""
    if SUBMODULE in (change.old_mode, change.new_mode):
        return _mode_refusal(SUBMODULE, change.new_path)
    if change.status == "D" and change.old_mode == LINK:
        return None
    if LINK in (change.old_mode, change.new_mode):
        return _mode_refusal(LINK, change.new_path)
    if change.new_mode not in (*ALLOWED_MODES, _NOTHING):
        return _mode_refusal(change.new_mode, change.new_path)
    if any(fold(path).rpartition("/")[2] == ".gitmodules" for path in change.paths):
        text = f"It would change {_named([change.new_path])}: submodules are left to people."
        return _refusal("submodule", text, change.new_path)
    return None


def _name_refusal(change: TreeChange) -> PatchRefusal | None:
    for path in change.paths:
        new = change.status in "ARC" and path == change.new_path
        if problem := name_problem(path, new=new):
            return _refusal("path", f"The file name {_named([path])} {problem}.", path)
    return None


def _unannounced(touched: Iterable[str], patch: bytes) -> PatchRefusal | None:
    """A difference that the patch did not name is none that its author can answer for."""
    try:
        claimed = set(read_patch(patch).paths)
    except UnreadablePatch as error:
        return _refusal("unreadable", f"The patch cannot be read: {error}.")
    hidden = [path for path in touched if path not in claimed]
    if not hidden:
        return None
    text = f"It would change {_named(hidden)}, which the patch does not name."
    return _refusal("unnamed", text, *hidden)


def _behind_links(tree: ProposedTree) -> PatchRefusal | None:
    """Also links that go away with this patch: git deletes and writes in an order of its own."""
    links = [path for path, mode in tree.modes.items() if mode == LINK]
    links += [change.old_path for change in tree.changes if change.old_mode == LINK]
    if not links:
        return None
    written = [change.new_path for change in tree.changes if change.new_mode != _NOTHING]
    behind = links_on_the_way(written, links)
    if not behind:
        return None
    path, link = next(iter(behind.items()))
    text = f"It would write {_named([path])} through the symbolic link {_named([link])}."
    return _refusal("link", text, path)


def _same_names(tree: ProposedTree) -> PatchRefusal | None:
    added = [change.new_path for change in tree.changes if change.status in "ARC"]
    if not added:
        return None
    same = clashes(added, tree.modes)
    if not same:
        return None
    one, other = next(iter(same.items()))
    text = (
        f"The names {_named([one])} and {_named([other])} are one and the same "
        "on Windows and macOS."
    )
    return _refusal("clash", text, one, other)


def _first(found: Iterable[PatchRefusal | None]) -> PatchRefusal | None:
    return next(filter(None, found), None)


def _refusal(rule: str, sentence: str, *paths: str) -> PatchRefusal:
    return PatchRefusal(rule=rule, sentence=sentence, paths=paths)


def _named(paths: list[str]) -> str:
    """As inline code that nothing can leave; what does not show is spelled out."""
    shown = [one_line_code(_spelled(path)) for path in paths[:_MOST_NAMED]]
    more = len(paths) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _spelled(path: str) -> str:
    text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in path)
    return text if len(text) <= 120 else text[:60] + "…" + text[-59:]
