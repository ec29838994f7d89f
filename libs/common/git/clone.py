"""A shallow clone of one merge request: its head, its base and its target branch, nothing else.

Called by the runner's `clone` step; `change` shares how a folder is made harmless. Branches move;
shas do not: what is asked for by sha is what is checked out, or the clone fails.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import msgspec

from libs.common.git.command import Access, GitCall, run_git
from libs.common.git.errors import CloneFailed, DiskFull, GitTimedOut, RefGone

HEAD = "refs/gca/head"
BASE = "refs/gca/base"
START = "refs/gca/start"
TARGET = "refs/gca/target"

FULL_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
NO_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^/|/$|^$")
_ALL_HISTORY = "2147483647"
_VERSION = re.compile(r"(\d+)\.(\d+)")
OLDEST_GIT = (2, 31)

# Wins over every .gitattributes: a merge request can neither run a filter nor hide a file from
# the diff, and files are checked out byte for byte (SR-15).
_ATTRIBUTES = "* !diff !filter !text !eol !ident !crlf !merge !working-tree-encoding !whitespace\n"


class CloneOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What to clone, and where to; `timeout` is seconds for all commands together."""

    folder: Path
    clone_url: str
    head_sha: str
    base_sha: str
    target_branch: str
    start_sha: str = ""
    iid: int | None = None
    """Allows to find a head that the server does not hand out by sha (forks, old servers)."""
    timeout: float = 600.0
    ca_bundle: str | None = None
    allow_http: bool = False
    allow_file: bool = False


class ClonedRepository(msgspec.Struct, frozen=True, kw_only=True):
    """A clone: detached at `head_sha`; the other commits are under `refs/gca/`."""

    folder: Path
    head_sha: str
    base_sha: str
    start_sha: str
    target_sha: str


async def clone_merge_request(order: CloneOrder, *, token: str) -> ClonedRepository:
    """Clone anew, whatever is in the folder now; raises the errors of `libs.common.git.errors`."""
    _check(order)
    git = _Clone(order, token)
    await asyncio.to_thread(empty_folder, order.folder)
    check_version(await git.run("ask git for its version", "version"))
    await git.run("prepare", "init", "--quiet", "--template=", *object_format(order.head_sha))
    await asyncio.to_thread(turn_attributes_off, order.folder)
    await git.fetch_all()
    await git.run("check out", "checkout", "--quiet", "--force", "--detach", order.head_sha)
    return ClonedRepository(
        folder=order.folder,
        head_sha=order.head_sha,
        base_sha=order.base_sha,
        start_sha=order.start_sha or order.base_sha,
        target_sha=await git.commit_of(TARGET),
    )


class _Clone:
    """The commands of one clone, which share a deadline."""

    def __init__(self, order: CloneOrder, token: str) -> None:
        self._order = order
        self._access = Access(
            url=order.clone_url,
            token=token,
            ca_bundle=order.ca_bundle,
            allow_http=order.allow_http,
            allow_file=order.allow_file,
        ).checked()
        self._deadline = asyncio.get_running_loop().time() + order.timeout

    async def run(self, what: str, *arguments: str, online: bool = False) -> bytes:
        left = self._deadline - asyncio.get_running_loop().time()
        if left <= 0:
            raise GitTimedOut(f"{what}: no time left", peer="gitlab")
        return await run_git(
            GitCall(
                folder=self._order.folder,
                arguments=arguments,
                what=what,
                timeout=left,
                access=self._access if online else None,
            )
        )

    async def fetch_all(self) -> None:
        """One round trip when the server hands out shas, as GitLab does; else one by one."""
        wanted = _wanted(self._order)
        try:
            await self._fetch("fetch", *(f"+{source}:{name}" for name, source in wanted.items()))
        except RefGone:
            await self._fetch_each(wanted)

    async def _fetch_each(self, wanted: dict[str, str]) -> None:
        branch = self._order.target_branch
        await self._fetch(f"fetch target branch {branch}", f"+{wanted.pop(TARGET)}:{TARGET}")
        for name, sha in wanted.items():
            what = f"fetch commit {sha[:12]}"
            try:
                await self._fetch(what, f"+{sha}:{name}")
            except RefGone as gone:
                await self._from_history(name, sha, gone)

    async def _from_history(self, name: str, sha: str, gone: RefGone) -> None:
        """Servers that refuse shas still offer the refs which the commit is reachable from."""
        if not await self._has(sha):
            sources = [f"+refs/heads/{self._order.target_branch}:{TARGET}"]
            if self._order.iid is not None:
                merge_request = f"refs/merge-requests/{self._order.iid}/head"
                sources.append(f"+{merge_request}:refs/gca/merge-request")
            try:
                await self._fetch("fetch the history", *sources, depth=_ALL_HISTORY)
            except RefGone:
                raise gone from None
        if not await self._has(sha):
            raise gone
        await self.run("keep the commit", "update-ref", name, sha)

    async def _fetch(self, what: str, *refspecs: str, depth: str = "1") -> None:
        url = self._order.clone_url
        await self.run(
            what,
            *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"),
            *(f"--depth={depth}", "--end-of-options", url, *refspecs),
            online=True,
        )

    async def _has(self, sha: str) -> bool:
        try:
            await self.run("look for a commit", "cat-file", "-e", f"{sha}^{{commit}}")
        except CloneFailed:
            return False
        return True

    async def commit_of(self, name: str) -> str:
        found = await self.run("read a ref", "rev-parse", "--verify", f"{name}^{{commit}}")
        return found.decode().strip()


def check_version(output: bytes, oldest: tuple[int, int] = OLDEST_GIT) -> None:
    """Older ones ignore settings of the environment, and with them all that keeps us safe."""
    found = _VERSION.search(output.decode(errors="replace"))
    if found and (int(found[1]), int(found[2])) < oldest:
        needed = ".".join(map(str, oldest))
        raise CloneFailed(f"git {needed} or newer is needed, this one is {found[0]}")


def _wanted(order: CloneOrder) -> dict[str, str]:
    found = {HEAD: order.head_sha, BASE: order.base_sha}
    if order.start_sha:
        found[START] = order.start_sha
    return {**found, TARGET: f"refs/heads/{order.target_branch}"}


def _check(order: CloneOrder) -> None:
    """Nothing that came over the wire may read as an option or another refspec."""
    shas = [order.head_sha, order.base_sha, *([order.start_sha] if order.start_sha else [])]
    if not all(FULL_SHA.fullmatch(sha) for sha in shas):
        raise CloneFailed("a full lower-case sha is needed for each commit to clone")
    if NO_BRANCH.search(order.target_branch):
        raise CloneFailed("the target branch has a name that git does not allow")


def object_format(sha: str) -> tuple[str, ...]:
    """The option of `git init` for a repository whose shas are as long as this one."""
    return ("--object-format=sha256",) if len(sha) == 64 else ()


def empty_folder(folder: Path) -> None:
    """Blocking: the folder, without anything that was there before."""
    try:
        if folder.is_symlink() or folder.is_file():
            folder.unlink()
        elif folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True, mode=0o755)
    except OSError as error:
        raise DiskFull(f"prepare: no folder to clone into ({error.strerror})") from None


def turn_attributes_off(folder: Path) -> None:
    """Blocking: no filter, driver or text conversion of the repository applies in this clone."""
    place = folder / ".git" / "info"
    place.mkdir(exist_ok=True)
    (place / "attributes").write_text(_ATTRIBUTES)
