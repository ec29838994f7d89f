"""One bare git repository: commits from dictionaries, refs, diffs, line counts.

Every call runs the real git and blocks for a few milliseconds; the projects are small.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .diffs import FileDiff, parse_diff

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ZERO_SHA = "0" * 40
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_SETTINGS = {
    "http.receivepack": "true",
    "uploadpack.allowAnySHA1InWant": "true",
    "uploadpack.allowReachableSHA1InWant": "true",
    "uploadpack.allowTipSHA1InWant": "true",
    "uploadpack.allowFilter": "true",
    "receive.advertisePushOptions": "true",
    "transfer.hideRefs": "refs/keep-around",
    "gc.auto": "0",
    "core.quotePath": "true",
}


# Runs before any ref moves. The server has looked at the refs already and says no by SIM_REFUSAL;
# whether a push is forced shows only here, where its objects are.
_PRE_RECEIVE = """#!/bin/sh
while read -r old new ref; do
    case " $SIM_NO_FORCE " in *" $ref "*) ;; *) continue ;; esac
    if ! git merge-base --is-ancestor "$old" "$new"; then
        echo "GitLab: $SIM_FORCED" >&2
        exit 1
    fi
done
if [ -n "$SIM_REFUSAL" ]; then
    echo "GitLab: $SIM_REFUSAL" >&2
    exit 1
fi
"""


class GitFailedError(Exception):
    """git ended with an error; the message is its stderr."""


@dataclass(frozen=True)
class Symlink:
    """A file content that is a symbolic link to `target`."""

    target: str


@dataclass(frozen=True)
class Executable:
    """A file content with the executable bit set."""

    content: str | bytes


@dataclass(frozen=True)
class Submodule:
    """A path that points at a commit of another repository."""

    sha: str


Content = str | bytes | Symlink | Executable | Submodule | None


@dataclass(frozen=True)
class Commit:
    """A commit as the API and the webhooks show it."""

    sha: str
    parents: tuple[str, ...]
    author_name: str
    author_email: str
    date: str  # ISO 8601
    message: str

    @property
    def title(self) -> str:
        return self.message.split("\n", 1)[0]


def git_environment() -> dict[str, str]:
    """Keep the machine's own git settings out."""
    return {
        "PATH": os.environ["PATH"],
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }


class Repository:
    """A bare repository in a folder. Raises GitFailedError when git does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._diffs: dict[tuple[str, str], list[FileDiff]] = {}
        self._spans: dict[tuple[str, str], list[Commit]] = {}

    def create(self, default_branch: str) -> None:
        self.path.mkdir(parents=True)
        self.git("init", "--bare", "--quiet", "--template=", f"--initial-branch={default_branch}")
        lines: dict[str, list[str]] = {}
        for name, value in _SETTINGS.items():
            section, key = name.split(".", 1)
            lines.setdefault(section, []).append(f"\t{key} = {value}\n")
        with (self.path / "config").open("a") as config:
            for section, entries in lines.items():
                config.write(f"[{section}]\n" + "".join(entries))
        hook = self.path / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(_PRE_RECEIVE)
        hook.chmod(0o755)

    def git(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            input=stdin,
            capture_output=True,
            env=git_environment(),
            check=False,
        )
        if done.returncode != 0:
            raise GitFailedError(done.stderr.decode(errors="replace").strip())
        return done.stdout

    def text(self, *arguments: str) -> str:
        return self.git(*arguments).decode(errors="replace").strip()

    # --- refs -----------------------------------------------------------------

    def refs(self, prefix: str = "refs/heads/") -> dict[str, str]:
        rows = self.text("for-each-ref", "--format=%(objectname) %(refname)", prefix).splitlines()
        return {name: sha for sha, name in (row.split(" ", 1) for row in rows)}

    def branch(self, name: str) -> str | None:
        return self.refs(f"refs/heads/{name}").get(f"refs/heads/{name}")

    def set_ref(self, ref: str, sha: str | None) -> None:
        if sha is None:
            self.git("update-ref", "-d", ref)
        else:
            self.git("update-ref", ref, sha)

    def commit_sha(self, revision: str) -> str | None:
        """Return the full sha of a commit that exists here, else None."""
        if not revision or revision.startswith("-"):
            return None
        try:
            return self.text("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}") or None
        except GitFailedError:
            return None

    def merge_base(self, one: str, other: str) -> str | None:
        try:
            return self.text("merge-base", one, other) or None
        except GitFailedError:
            return None

    def is_ancestor(self, sha: str, of: str) -> bool:
        return self.merge_base(sha, of) == sha

    def fetch_from(self, other: Repository, sha: str) -> None:
        self.git("fetch", "--quiet", "--no-tags", str(other.path), sha)

    # --- commits --------------------------------------------------------------

    def commit(
        self,
        branch: str,
        files: Mapping[str, Content],
        *,
        parent: str | None,
        message: str,
        author: tuple[str, str],
        when: int,
    ) -> str:
        head = f"{author[0]} <{author[1]}> {when} +0000"
        stream = [f"commit refs/heads/{branch}\n".encode()]
        stream += [f"author {head}\ncommitter {head}\n".encode(), _data(message.encode())]
        if parent is not None:
            stream.append(f"from {parent}\n".encode())
        removed = [path for path, content in files.items() if content is None]
        stream += [b"D " + _quoted(path) + b"\n" for path in removed]
        stream += [_entry(path, body) for path, body in files.items() if body is not None]
        self.git(
            "fast-import", "--quiet", "--force", "--done", stdin=b"".join([*stream, b"done\n"])
        )
        return self.text("rev-parse", f"refs/heads/{branch}")

    def commits(self, revision_range: str, *, limit: int = 0) -> list[Commit]:
        form = "%H%x00%P%x00%an%x00%ae%x00%cI%x00%B%x01"
        cut = [f"--max-count={limit}"] if limit else []
        output = self.git("log", f"--format={form}", *cut, revision_range, "--")
        records = output.decode(errors="replace").split("\x01")
        return [_commit(record.lstrip("\n")) for record in records if record.strip()]

    def between(self, base: str, head: str) -> list[Commit]:
        """Return the commits of two fixed shas, newest first; cached, since nothing can change."""
        if (base, head) not in self._spans:
            span = head if base == EMPTY_TREE else f"{base}..{head}"
            self._spans[base, head] = self.commits(span)
        return self._spans[base, head]

    def one_commit(self, sha: str) -> Commit:
        return self.commits(sha, limit=1)[0]

    # --- content --------------------------------------------------------------

    def diff(self, base: str, head: str) -> list[FileDiff]:
        """Return the files that differ; cached, since both sides are immutable."""
        if (base, head) not in self._diffs:
            common = ["--find-renames", "--full-index", "--no-ext-diff", "--no-textconv", "-l0"]
            raw = self.git("diff", "--raw", "-z", *common, base, head)
            patch = self.git("diff", "-p", "--no-color", *common, base, head)
            self._diffs[base, head] = parse_diff(raw, patch)
        return self._diffs[base, head]

    def raw_diff(self, base: str, head: str) -> bytes:
        return self.git("diff", "--no-color", "--no-ext-diff", "--find-renames", base, head)

    def file(self, revision: str, path: str) -> bytes | None:
        try:
            return self.git("cat-file", "blob", f"{revision}:{path}")
        except GitFailedError:
            return None

    def line_count(self, revision: str, path: str) -> int:
        content = self.file(revision, path) or b""
        return len(content.split(b"\n")) - (1 if content.endswith(b"\n") or not content else 0)


def _commit(record: str) -> Commit:
    sha, parents, name, email, date, message = record.split("\x00", 5)
    return Commit(sha, tuple(parents.split()), name, email, date, message.rstrip("\n") + "\n")


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _quoted(path: str) -> bytes:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'.encode()


def _entry(path: str, content: Content) -> bytes:
    if isinstance(content, Submodule):
        return f"M 160000 {content.sha} ".encode() + _quoted(path) + b"\n"
    mode, body = "100644", content
    if isinstance(content, Symlink):
        mode, body = "120000", content.target
    elif isinstance(content, Executable):
        mode, body = "100755", content.content
    raw = body.encode() if isinstance(body, str) else bytes(body or b"")  # type: ignore[arg-type]  # narrowed above
    return f"M {mode} inline ".encode() + _quoted(path) + b"\n" + _data(raw)
