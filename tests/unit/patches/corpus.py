"""The patches of tests/data/patches, what is expected of each, and the files they are made for."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.integration.git_door_repository import Origin, link, submodule

FOLDER = Path(__file__).parents[2] / "data" / "patches"
CASES = tomllib.loads((FOLDER / "expected.toml").read_text(encoding="utf-8"))
BASE = {
    "README.md": b"# shop\n\nA small shop.\n",
    "shop/cart.py": b"def total(cart):\n    return sum(cart)\n",
    "shop/logo.png": bytes(range(256)) * 4,
    "docs/guide.md": b"# Guide\n\nRead this first.\n",
    "docs/windows.txt": b"one\r\ntwo\r\n",
    "ci/build.yml": b"build:\n  script: make\n",
    ".gitlab-ci.yml": b"include:\n  - local: /ci/build.yml\n",
    ".gitattributes": b"* filter=evil merge=evil diff=evil\n*.txt text eol=lf\n",
    # `ignore` hides a submodule that moves from plain diffs.
    ".gitmodules": b'[submodule "lib"]\n\tpath = vendor/lib\n'
    b"\turl = https://gitlab.example.com/vendor/lib.git\n\tignore = all\n",
    "current": link("shop"),
    "vendor/lib": submodule(),
}
CI_INCLUDES = ("/ci/build.yml",)


def patch_of(name: str) -> bytes:
    return (FOLDER / f"{name}.patch").read_bytes()


def names(*ends: str) -> list[str]:
    """The cases that end in one of these ways."""
    return [name for name, case in CASES.items() if case["end"] in ends]


def shop(folder: Path) -> tuple[Origin, str]:
    """A bare repository with the files that the patches are made for, and its commit."""
    origin = Origin(folder)
    return origin, origin.commit("refs/heads/main", BASE)
