"""Repositories for the tests of the git door, made with the real git in a few milliseconds."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

SUBMODULE = "1" * 40


class Origin:
    """A bare repository that tests fill; content is bytes, a link target or a submodule."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--bare", "--template=", "--initial-branch=main")

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            input=stdin,
            capture_output=True,
            check=True,
            env={
                "PATH": os.environ["PATH"],
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": os.devnull,
            },
        )
        return done.stdout.decode().strip()

    def commit(self, ref: str, files: Mapping[str, bytes | None], parent: str = "") -> str:
        """A commit on top of `parent`; None removes a file."""
        lines = [f"commit {ref}\ncommitter A <a@b.c> 1700000000 +0000\ndata 1\nx\n".encode()]
        if parent:
            lines.append(f"from {parent}\n".encode())
        lines += [_line(path, content) for path, content in files.items()]
        self.git("fast-import", "--quiet", "--force", stdin=b"".join(lines))
        return self.git("rev-parse", ref)


def link(target: str) -> bytes:
    return b"\0link" + target.encode()


def submodule() -> bytes:
    return b"\0submodule"


def _line(path: str, content: bytes | None) -> bytes:
    quoted = b'"' + path.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'
    if content is None:
        return b"D " + quoted + b"\n"
    if content == submodule():
        return f"M 160000 {SUBMODULE} ".encode() + quoted + b"\n"
    mode = b"120000" if content.startswith(b"\0link") else b"100644"
    body = content.removeprefix(b"\0link")
    return b"M %s inline %s\ndata %d\n%s\n" % (mode, quoted, len(body), body)
