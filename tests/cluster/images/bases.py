"""Base images made of this machine's distribution. Used by `building` where none can be pulled.

The Python base is a Debian root by debootstrap, as small as the public one; the Node.js base is
this machine's own node and npm. Both stay in buildah's storage.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from services.ops.images import PROJECT, CannotBuild

SUITE = "bookworm"
BASE = f"localhost/{PROJECT}/base:{SUITE}-1"
NODE = f"localhost/{PROJECT}/node:1"
MIRROR = "http://deb.debian.org/debian"
PACKAGES = ("python3", "python3-venv", "ca-certificates")
LEFT_OUT = (
    *("var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/doc", "usr/share/man"),
    *("usr/share/locale", "usr/share/info"),
)


def base() -> str:
    """The name of the Python base, made when it is not there: some minutes."""
    if not _there(BASE):
        _needs("debootstrap")
        with tempfile.TemporaryDirectory(prefix="gca-base-") as folder:
            _debootstrap(Path(folder, "root"))
            _commit(BASE, {Path(folder, "root"): "/"})
    return BASE


def node() -> str:
    """The name of the Node.js base, at the places where the public one has it."""
    if not _there(NODE):
        program, npm = (Path(_needs(name)).resolve() for name in ("node", "npm"))
        places = {
            program: "/usr/local/bin/node",
            npm.parents[1]: "/usr/local/lib/node_modules/npm",
        }
        _commit(NODE, places)
    return NODE


def _debootstrap(root: Path) -> None:
    include = f"--include={','.join(PACKAGES)}"
    _run("debootstrap", "--variant=minbase", include, SUITE, str(root), MIRROR)
    for name in LEFT_OUT:
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True, exist_ok=True)


def _commit(name: str, places: dict[Path, str]) -> None:
    container = _run("buildah", "from", "scratch").strip()
    try:
        for source, target in places.items():
            _run("buildah", "add", "--quiet", container, str(source), target)
        _run("buildah", "commit", "--quiet", container, name)
    finally:
        _run("buildah", "rm", container)


def _there(image: str) -> bool:
    command = ["buildah", "inspect", "--type", "image", image]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _needs(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise CannotBuild(f"{program} is not installed (package {program})")
    if program == "debootstrap" and os.geteuid() != 0:
        raise CannotBuild("debootstrap needs root; or set BASE and NODE to images that you have")
    return found


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotBuild(f"`{' '.join(command[:2])}` failed: {done.stderr.strip()[-600:]}")
    return done.stdout
