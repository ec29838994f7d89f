"""SR-29: a suggestion touches its finding's lines only, byte for byte, or is dropped."""

from __future__ import annotations

import msgspec
import pytest

from libs.common.events.tasks import Finding, Point, Position
from services.publisher.firewall import Policy, is_protected, suggestion_block

POLICY = Policy(secrets=("Zq8-pass/word_42+x",))
POSITION = Position(
    old_path="a.py", new_path="a.py", end=Point(old_line=None, new_line=12, line_code="x_9_12")
)
FINDING = Finding(
    file="a.py",
    side="new",
    line=10,
    end_line=12,
    severity="error",
    comment="c",
    suggestion="x = 1\n",
    position=POSITION,
)


def block(**changes):
    return suggestion_block(msgspec.structs.replace(FINDING, **changes), POLICY)


def test_without_a_range_it_replaces_the_finding_s_lines_sr_29():
    assert block() == "```suggestion:-2+0\nx = 1\n```"


def test_its_own_range_lies_inside_the_finding_s_lines_sr_29():
    assert block(suggestion_start=11, suggestion_end=12) == "```suggestion:-1+0\nx = 1\n```"


@pytest.mark.parametrize(
    "code",
    [
        "a\n\tb  ",
        "@property",
        "```\nx\n```",
        "`a` <b> #1 !2",
        "/* c */",
        "# /close",
        "",
        "/build\n/x",
    ],
)
def test_code_is_published_byte_for_byte_sr_29(code):
    fence = block(suggestion=code)

    assert fence is not None
    ticks = fence[: len(fence) - len(fence.lstrip("`"))]
    first, _, rest = fence.partition("\n")
    assert first == f"{ticks}suggestion:-2+0"
    assert rest == (f"{code}\n{ticks}" if code else ticks)
    assert ticks not in code


@pytest.mark.parametrize(
    "changes",
    [
        {"suggestion": None},
        {"position": None},
        {"side": "old"},
        {"suggestion_start": 9},
        {"suggestion_end": 13},
        {"suggestion_start": 12, "suggestion_end": 11},
        {"file": "b.py"},
        {"suggestion": "a\u200bb"},
        {"suggestion": "a\u202eb"},
        {"suggestion": "x" * 9_000},
        {"suggestion": "<!-- gca:v1 task=x item=y -->"},
        {"suggestion": "glpat-aB3dE5gH7jK9mN1pQ3sT"},
        {"suggestion": "k = 'Zq8-pass/word_42+x'"},
        {"suggestion": "```\n/close\n```"},
    ],
)
def test_anything_else_is_dropped_sr_29(changes):
    assert block(**changes) is None


@pytest.mark.parametrize(
    "path",
    [
        ".gitlab-ci.yml",
        "sub/.gitlab-ci.yml",
        ".GitLab-CI.yml",
        "jobs.gitlab-ci.yml",
        ".gitlab/agents/x.yaml",
        ".github/workflows/ci.yml",
        "CODEOWNERS",
        "docs/CODEOWNERS",
        ".gitmodules",
        ".gitattributes",
        "lib/.gitattributes",
        ".husky/pre-commit",
        "hooks/pre-receive",
        ".claude/settings.json",
        "AGENTS.md",
        "pkg/agents.md",
        "CLAUDE.md",
    ],
)
def test_protected_paths_take_no_suggestion_sr_29(path):
    position = msgspec.structs.replace(POSITION, old_path=path, new_path=path)

    assert is_protected(path, POLICY)
    assert block(file=path, position=position) is None


def test_a_rename_out_of_a_protected_path_stays_protected_sr_29():
    assert block(position=msgspec.structs.replace(POSITION, old_path=".gitlab-ci.yml")) is None


def test_ordinary_paths_are_not_protected():
    assert not any(is_protected(p, POLICY) for p in ("a.py", "docs/ci.yml", "src/hooks.py"))
