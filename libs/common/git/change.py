"""A patch becomes one commit on one branch, at most once, and only as the policy allows.

Called by the publisher with its write token. Nothing of the repository runs or is even checked
out (SR-34): the patch goes into the index of a fresh shallow clone, the tree that would be
committed is shown to the policy, and the commit's sha follows from the order alone. A push never
forces and never reaches a branch that the order forbids (SR-35).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from collections.abc import Coroutine
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from libs.common.errors import cut
from libs.common.git import push_errors as wrong
from libs.common.git.clone import (
    BASE,
    FULL_SHA,
    NO_BRANCH,
    check_version,
    empty_folder,
    object_format,
    turn_attributes_off,
)
from libs.common.git.command import Access, Ended
from libs.common.git.commands import MIB, Commands
from libs.common.git.commit import CommitText, Logged, commit_object, has_task, parse_log
from libs.common.git.errors import (
    AuthFailed,
    CloneFailed,
    GitError,
    GitTimedOut,
    RefGone,
    scrub,
)
from libs.common.git.tree import ChangePolicy, ProposedTree, parse_changes, parse_modes

HISTORY = 100
"""Commits of a moved branch in which the task's own one is looked for."""
T = TypeVar("T")
TIP = "refs/gca/tip"
PATCHED = "refs/gca/patched"

_OLDEST_GIT = (2, 32)  # the first where `apply --3way` takes `--cached`
_NO_PART = re.compile(r"(^|/)[.-]|\.(lock)?(/|$)|^(HEAD|@)$")
_TREE_DIFF = ("diff-tree", "-r", "--raw", "-z", "--no-renames", "--ignore-submodules=none")


class PushOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What to change and where it goes; `timeout` is seconds for all commands together."""

    folder: Path
    """For the clone; emptied before, removed afterwards."""
    clone_url: str
    branch: str
    new_branch: bool = False
    """The branch must not exist yet; else it must, and stand at the commit the patch goes on."""
    base_sha: str
    """The commit the patch was made on: the one that the task is pinned to."""
    onto_sha: str = ""
    """The commit to put it on when the branch has moved; empty means `base_sha`."""
    patch: bytes
    """As `git diff --cached --binary --full-index --src-prefix=a/ --dst-prefix=b/` writes it."""
    commit: CommitText
    task_id: str
    never_to: tuple[str, ...]
    """Default and protected branches; `*` stands for any letters, as in GitLab."""
    push_options: tuple[str, ...] = ("ci.skip",)
    timeout: float = 600.0
    ca_bundle: str | None = None
    allow_http: bool = False
    allow_file: bool = False

    @property
    def parent(self) -> str:
        return self.onto_sha or self.base_sha


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """The task's commit is on the branch; `files` are the paths that it changed, sorted."""

    sha: str
    files: tuple[str, ...]
    already: bool = False
    """It was there before: nothing was pushed this time."""


async def apply_and_push(order: PushOrder, *, token: str, policy: ChangePolicy) -> Pushed:
    """Once or again: the branch ends with one commit of this task.

    Raises the errors of `push_errors` (all but `MaybePushed` mean that nothing was pushed) and,
    from before the push, those of `errors`.
    """
    _check(order)
    work = _Change(order, token, policy)
    refusal = await asyncio.to_thread(policy.judge_patch, order.patch)
    if refusal:
        raise wrong.ChangeRefused(refusal)
    return await work.finished(work.done())


async def find_pushed(order: PushOrder, *, token: str) -> Pushed | None:
    """The task's commit if it is on the branch; nothing is changed, no policy asked.

    For when nothing may be pushed any more, but it matters whether it was.
    """
    _check(order)
    work = _Change(order, token, None)
    return await work.finished(work.found())


class _Change:
    """The commands of one order, which share a deadline."""

    def __init__(self, order: PushOrder, token: str, policy: ChangePolicy | None) -> None:
        self._order = order
        self._policy = policy
        access = Access(
            url=order.clone_url,
            token=token,
            ca_bundle=order.ca_bundle,
            allow_http=order.allow_http,
            allow_file=order.allow_file,
        )
        self._git = Commands(order.folder, access, timeout=order.timeout)

    async def finished(self, work: Coroutine[Any, Any, T]) -> T:
        """With the folder gone afterwards, and a refused token called by its setting."""
        try:
            return await work
        except AuthFailed as error:
            raise error if "GITLAB_TOKEN" in str(error) else wrong.token_refused("fetch") from None
        finally:
            await asyncio.to_thread(shutil.rmtree, self._order.folder, ignore_errors=True)

    async def found(self) -> Pushed | None:
        await self._prepare()
        tip = await self._tip()
        if not tip or tip == self._order.base_sha:
            return None
        return (await self._in_history())[1]

    async def done(self) -> Pushed:
        await self._prepare()
        if already := await self._look():
            return already
        await self._fetch_commits()
        tree = await self._apply()
        proposed = await self._judged(tree)
        sha = await self._commit(tree)
        await self._push(sha)
        return Pushed(sha=sha, files=_files(proposed))

    async def _prepare(self) -> None:
        order = self._order
        await asyncio.to_thread(empty_folder, order.folder)
        check_version(await self._git.run("ask git for its version", "version"), _OLDEST_GIT)
        await self._git.run(
            "prepare", "init", "--quiet", "--template=", *object_format(order.parent)
        )
        await asyncio.to_thread(turn_attributes_off, order.folder)

    # --- is it there already, and may we go on? ---------------------------------------

    async def _look(self) -> Pushed | None:
        order = self._order
        tip = await self._tip()
        if tip and tip != order.base_sha:
            tip, found = await self._in_history()
            if found:
                return found
        if order.new_branch:
            if tip:
                raise wrong.BranchTaken(f"the branch {order.branch} exists already", tip=tip)
            return None
        if not tip:
            raise RefGone(f"the branch {order.branch} is no longer on the server")
        if tip != order.parent:
            raise self._moved(tip)
        return None

    def _moved(self, tip: str) -> wrong.MovedBranch:
        order = self._order
        text = f"the branch {order.branch} moved from {order.parent[:8]} to {tip[:8]}"
        return wrong.MovedBranch(text, tip=tip)

    async def _tip(self) -> str:
        name = f"refs/heads/{self._order.branch}"
        url = self._order.clone_url
        listed = await self._git.run("look at the branch", "ls-remote", url, name, online=True)
        rows = (row.partition("\t") for row in listed.decode(errors="replace").splitlines())
        return next((sha for sha, _, ref in rows if ref == name), "")

    async def _in_history(self) -> tuple[str, Pushed | None]:
        """The tip that was fetched, and the task's own commit if it is among the last ones."""
        branch = f"+refs/heads/{self._order.branch}:{TIP}"
        await self._git.fetch("fetch the branch", branch, depth=HISTORY)
        log = ("log", f"--max-count={HISTORY}", "-z", "--format=%H %P%x00%B", TIP)
        printed = await self._git.run("read the history", *log, max_output=64 * MIB)
        commits = parse_log(printed)
        tip = commits[0].sha
        for commit in commits:
            if has_task(commit.message, self._order.task_id):
                return tip, await self._there(commit)
        return tip, None

    async def _there(self, commit: Logged) -> Pushed:
        files: tuple[str, ...] = ()
        if commit.parents:
            # The last commit that was fetched has a parent that was not.
            with contextlib.suppress(CloneFailed):
                raw = await self._git.run(
                    "read the commit", *_TREE_DIFF, commit.parents[0], commit.sha
                )
                files = _files(ProposedTree(changes=parse_changes(raw), modes={}))
        return Pushed(sha=commit.sha, files=files, already=True)

    # --- from a patch to a tree --------------------------------------------------------

    async def _fetch_commits(self) -> None:
        order = self._order
        await self._git.fetch(f"fetch commit {order.parent[:12]}", f"+{order.parent}:{BASE}")
        if order.parent != order.base_sha:
            # Gone after a rebase, perhaps: then the patch has to fit as it is.
            with contextlib.suppress(RefGone):
                name = f"fetch commit {order.base_sha[:12]}"
                await self._git.fetch(name, f"+{order.base_sha}:{PATCHED}")

    async def _apply(self) -> str:
        """The tree's sha; files exist only as objects, so there is no link to write through."""
        patch = self._order.folder / ".git" / "gca.patch"
        await asyncio.to_thread(patch.write_bytes, self._order.patch)
        await self._git.run("read the commit", "read-tree", BASE)
        arguments = ("apply", "--cached", "--3way", "--whitespace=nowarn", str(patch))
        ended = await self._git.end("apply the patch", *arguments)
        if ended.code != 0:
            raise wrong.PatchDoesNotApply(f"the patch does not apply: {_complaint(ended)}")
        written = await self._git.run("write the tree", "write-tree")
        return written.decode().strip()

    async def _judged(self, tree: str) -> ProposedTree:
        raw = await self._git.run("compare", *_TREE_DIFF, BASE, tree, max_output=64 * MIB)
        listed = await self._git.run(
            "list files", "ls-tree", "-r", "-z", tree, max_output=256 * MIB
        )
        proposed = ProposedTree(changes=parse_changes(raw), modes=parse_modes(listed))
        if not proposed.changes:
            raise wrong.NothingToPush("the patch changes nothing")
        assert self._policy is not None  # noqa: S101  # only `find_pushed` goes without
        refusal = await asyncio.to_thread(self._policy.judge_tree, self._order.patch, proposed)
        if refusal:
            raise wrong.ChangeRefused(refusal)
        return proposed

    # --- from a tree to the branch -----------------------------------------------------

    async def _commit(self, tree: str) -> str:
        order = self._order
        written = order.folder / ".git" / "gca.commit"
        content = commit_object(order.commit, tree=tree, parent=order.parent, task_id=order.task_id)
        await asyncio.to_thread(written.write_bytes, content)
        kind = ("-t", "commit", "-w", "--no-filters")
        made = await self._git.run("commit", "hash-object", *kind, str(written))
        return made.decode().strip()

    async def _push(self, sha: str) -> None:
        """Compare and swap: the server's branch must be the commit's parent, or must not exist.

        The lease makes git stricter than a plain push, never looser: what it expects is the parent
        of what is pushed, so that the update is a fast-forward or nothing. A plain push would also
        make a branch again that was deleted meanwhile, or go onto one that somebody just made.
        """
        order = self._order
        name = f"refs/heads/{order.branch}"
        expected = "" if order.new_branch else order.parent
        what = f"push to {order.branch}"
        try:
            ended = await self._git.end(
                what,
                # A shallow clone does not know what the server has; asking saves the whole tree.
                *("-c", "push.negotiate=true", "push", "--porcelain", "--no-verify", "--no-signed"),
                *("--recurse-submodules=no", "--no-follow-tags", "--no-tags"),
                f"--force-with-lease={name}:{expected}",
                *(f"--push-option={option}" for option in order.push_options),
                *("--end-of-options", order.clone_url, f"{sha}:{name}"),
                online=True,
            )
        except GitTimedOut as error:
            raise wrong.MaybePushed(str(error), delay=5.0) from None
        if ended.code != 0:
            raise self._not_pushed(wrong.push_failure(ended, what=what, secrets=self._git.secrets))

    def _not_pushed(self, error: GitError) -> GitError:
        if isinstance(error, wrong.MovedBranch) and self._order.new_branch:
            return wrong.BranchTaken(f"the branch {self._order.branch} exists already")
        return error


def _check(order: PushOrder) -> None:
    """Before anything is asked or done; nothing of an order may read as an option."""
    if not all(FULL_SHA.fullmatch(sha) for sha in (order.base_sha, order.parent)):
        raise CloneFailed("a full lower-case sha is needed for the commit to change")
    if NO_BRANCH.search(order.branch) or _NO_PART.search(order.branch):
        raise CloneFailed("the branch has a name that git does not allow")
    if any("\n" in text or not text for text in (order.task_id, *order.push_options)):
        raise CloneFailed("a task id and push options of one line each are needed")
    if any(fnmatchcase(order.branch, pattern) for pattern in order.never_to):
        raise wrong.ProtectedBranch(
            f"the branch {order.branch} is the default branch or protected; nothing is pushed there"
        )
    if not order.patch.strip():
        raise wrong.NothingToPush("the patch is empty")


def _files(proposed: ProposedTree) -> tuple[str, ...]:
    return tuple(sorted({path for change in proposed.changes for path in change.paths}))


def _complaint(ended: Ended) -> str:
    """The files that do not fit; what git says about its other attempts is no news."""
    said = ended.stderr.decode(errors="replace").splitlines()
    lines = [line.replace("U ", "conflict in ", 1) for line in said if line.startswith("U ")]
    for line in said:
        kind, _, words = line.partition(": ")
        if kind in ("error", "fatal") and not words.startswith("repository lacks"):
            lines.append(words)
    return cut(scrub("; ".join(dict.fromkeys(lines))), 160) or "it does not fit"
