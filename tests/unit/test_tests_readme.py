"""The tables of bad input (tests/README.md) and of security (SECURITY.md) name tests that exist."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ITEMS = (
    "every setting wrong or missing",
    "NATS away at start",
    "NATS away later",
    "GitLab 401",
    "GitLab 403",
    "GitLab 404",
    "GitLab 409",
    "GitLab 429",
    "GitLab 5xx",
    "GitLab time-outs",
    "GitLab HTML bodies",
    "model answers with garbage",
    "model answers with nothing",
    "model answers with too much",
    "model calls a tool with wrong arguments",
    "clone fails",
    "head moved meanwhile",
    "branch gone",
    "diff of 3,000 files",
    "binary files",
    "renames",
    "file names with spaces",
    "file names with quotes",
    "file names with unicode",
    "collector away, slow or refusing",
    "metrics scraped while everything fails",
    "doctor with each single thing broken",
    "terminal 60 columns wide",
    "no colour, not a terminal",
    "commands from each role, from blocked and expired members",
    "two commands at once on one branch",
    "push between note and run",
    "protected branch",
    "deleted branch",
    "merge request closed meanwhile",
    "unmapped project, empty description",
    "hostile, edited, system and bots' notes",
    "Jira 400, 401, 404, 429 and 5xx",
    "Jira 409, no such transition, issue moved away",
    "Jira's search lags behind",
    "descriptions with every type of node",
    "model that edits nothing or too much",
    "patch that is huge, empty or no base64",
    "hostile patches",
    "forks that take commits or do not",
    "every event and hook comes twice",
    "a service or Job killed at any request",
    "stream full (`discard`)",
    "KV bucket gone",
    "consumer deleted under a running service",
    "wrong server version",
    "permissions missing",
    "clock jumps",
    "a poison message that breaks the decoder",
    "900 KB descriptions",
    "5,000 open merge requests",
    "a watermark from the future",
    "rows that move while a look reads pages",
    "a look at GitLab is answered 403, 404 or 429",
    "webhooks lost, late, twice, besides a look",
    "no right to create or watch Jobs",
    "quota of the namespace full",
    "namespace missing",
    "Kubernetes API away",
    "wrong or missing image of Jobs",
    "wrong host aliases and other JSON of Jobs",
    "a Job that no node takes",
    "node gone under a Job",
    "a Job that the API refuses for good",
    "a Job that needs more memory or time than it may have",
)
REQUIREMENTS = tuple(
    f"SR-{number:02}"
    for number in (
        *range(1, 16),
        16,
        17,
        18,
        19,
        20,
        21,
        *range(22, 40),
        40,
        41,
        42,
        43,
        44,
    )
)
_NAME = re.compile(r"`([\w./]+\.py)::(\w+)`")


def rows(path: Path, heading: str) -> dict[str, list[tuple[str, str]]]:
    """First cell to the tests that its row names, for the table under `heading`."""
    text = path.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    return {row[0].strip(): _NAME.findall(row[-1]) for row in cells[1:]}


BAD_INPUT = rows(ROOT / "tests" / "README.md", "Bad input")
SECURITY = rows(ROOT / "SECURITY.md", "Which test proves what")
NAMED = sorted(
    {named for table in (BAD_INPUT, SECURITY) for row in table.values() for named in row}
)


@functools.cache
def functions_in(path: str) -> frozenset[str]:
    """Names of all functions of a file, methods included; none when there is no such file."""
    file = ROOT / "tests" / path
    if not file.is_file():
        return frozenset()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def test_each_item_of_bad_input_has_its_row():
    assert list(BAD_INPUT) == list(ITEMS)


def test_each_security_requirement_of_this_state_has_its_row():
    assert list(SECURITY) == list(REQUIREMENTS)


@pytest.mark.parametrize("name", [*ITEMS, *REQUIREMENTS])
def test_each_row_names_a_test(name):
    assert (BAD_INPUT | SECURITY)[name] != []


@pytest.mark.parametrize("named", NAMED, ids="::".join)
def test_each_named_test_exists(named):
    path, test = named

    assert test.startswith("test_")
    assert test in functions_in(path)
