"""Build products by language: what git should ignore, whatever `.gitignore` forgets. Pure.

Called by `coding`. Why lines and not edits: a session that runs tests leaves `__pycache__/` and the
like. They never enter a patch, since only named files do; but a model may name them, or take
`git status` for its list. So the usual lines of the languages found go into exclude files of ours,
of the clone and of the git directory that the patch is made with, where no `.gitignore` of a
repository is touched and `!` lines in one still win. Lines that `.gitignore` lacks are told to the
model; they become part of a change only when it writes them and names `.gitignore` itself. A
`.gitignore` that is a link is never written through or taken: such a submission is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

_PYTHON = (
    *("__pycache__/", "*.py[cod]", ".pytest_cache/", ".mypy_cache/", ".ruff_cache/", ".tox/"),
    *(".venv/", "*.egg-info/", ".coverage", "htmlcov/"),
)
_NODE = ("node_modules/", ".npm/", "*.tsbuildinfo", ".nyc_output/", ".next/", ".turbo/")
_JVM = ("target/", ".gradle/", "*.class")
_DOTNET = ("bin/", "obj/", "*.user")
_C = ("*.o", "*.obj", "*.so", "*.dylib", "*.gcda", "*.gcno", "CMakeFiles/", "CMakeCache.txt")
LINES: Mapping[str, tuple[str, ...]] = {
    ".py": _PYTHON,
    ".js": _NODE,
    ".jsx": _NODE,
    ".ts": _NODE,
    ".tsx": _NODE,
    ".vue": _NODE,
    ".java": _JVM,
    ".kt": _JVM,
    ".scala": _JVM,
    ".rs": ("target/",),
    ".go": ("*.test", "*.out"),
    ".cs": _DOTNET,
    ".fs": _DOTNET,
    ".c": _C,
    ".cc": _C,
    ".cpp": _C,
    ".rb": (".bundle/", "vendor/bundle/"),
    ".php": ("vendor/",),
    ".swift": (".build/",),
    ".ex": ("_build/", "deps/"),
    ".tf": (".terraform/", "*.tfstate", "*.tfstate.*"),
}
"""Suffix of a source file to the lines of its language, as GitHub's gitignore templates have them,
without those that often hold sources, such as `build/` and `lib/`."""
ALWAYS = (".DS_Store", "*.swp")


def lines(tracked: Iterable[str]) -> list[str]:
    """What to ignore in a repository of these files."""
    suffixes = {PurePosixPath(path).suffix.lower() for path in tracked}
    found = [line for suffix, group in LINES.items() if suffix in suffixes for line in group]
    return list(dict.fromkeys([*found, *ALWAYS]))


def missing(tracked: Iterable[str], gitignore: str) -> list[str]:
    """Those of a language's lines that the repository's own `.gitignore` does not have."""
    have = {line.strip().strip("/") for line in gitignore.splitlines()}
    return [line for line in lines(tracked) if line not in ALWAYS and line.strip("/") not in have]
