"""The notes as their readers see them. `GOLDEN=1` rewrites the files; read the diff."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from libs.common.events.tasks import (
    FailureReason,
    Finding,
    Point,
    Position,
    ReviewDone,
    SkippedFile,
    TaskFailed,
    Usage,
)
from services.publisher.firewall import GITLAB_CHARS, Policy
from services.publisher.markers import Marker, read_markers
from services.publisher.render import (
    WITHHELD,
    Placed,
    failure_body,
    finding_body,
    notice_settled,
    summary_body,
)
from tests.samples import review_request
from tests.unit.firewall.oracles import commands

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "notes"
SHA = "0123abcd" * 5
TASK = "review-42-7-0123abcd0123abcd-0"
POLICY = Policy(
    allowed_hosts=frozenset({"gitlab.example.com"}), secrets=("glpat-canary-of-our-own",)
)
REQUEST = review_request(SHA, task_id=TASK)


def finding(**changes):
    plain = Finding(
        file="src/load.py",
        side="new",
        line=12,
        end_line=14,
        severity="error",
        comment="`rows` is read before it is set.",
        position=Position(
            old_path="src/load.py",
            new_path="src/load.py",
            end=Point(old_line=None, new_line=14, line_code="x_11_14"),
            start=Point(old_line=None, new_line=12, line_code="x_11_12"),
        ),
    )
    return msgspec.structs.replace(plain, **changes)


def review(**changes):
    plain = ReviewDone(
        task_id=TASK,
        head_sha=SHA,
        summary="The loader is simpler now. One read comes too early.",
        findings=(finding(), finding(severity="warning"), finding(severity="info")),
        files_reviewed=("src/load.py", "src/store.py"),
        usage=Usage(model="gpt-5", input_tokens=12345, output_tokens=678),
        stages={"clone": 1.6, "start": 2.0, "session": 37.2},
    )
    return msgspec.structs.replace(plain, **changes)


def body_of(item):
    return finding_body(item, policy=POLICY, task_id=TASK, fingerprint="abc-def")


FINDINGS = {
    "finding_plain": finding(),
    "finding_with_suggestion": finding(
        severity="warning", suggestion="rows = []\nfor row in rows:\n    pass\n"
    ),
    "finding_starting_with_a_fence": finding(
        severity="info", comment="```python\nx = 1\n```\nis odd"
    ),
    "finding_without_position": finding(position=None, suggestion="rows = []\n"),
    "finding_in_protected_file": finding(file=".gitlab-ci.yml", suggestion="script: []"),
    "finding_hostile": finding(
        comment="/approve\n@all ![x](https://evil.example/?q=1)<!-- hidden -->\n```suggestion\n```",
        suggestion="a\u202eb",
    ),
    "finding_withheld": finding(comment="Key glpat-canary-of-our-own is used"),
}
SUMMARIES = {
    "summary_all_placed": (review(), Placed(threads=3)),
    "summary_nothing_found": (review(findings=(), summary=""), Placed()),
    "summary_with_leftovers": (
        review(
            skipped=(
                SkippedFile(path="package-lock.json", why="generated"),
                SkippedFile(path="img/logo.png", why="binary"),
                SkippedFile(path="odd`name\n/close", why="too large, @all"),
            )
        ),
        Placed(
            threads=1,
            unplaced=(finding(position=None, comment="Fails on empty input.\n\n- see `load`"),),
            still_open=(finding(line=3, end_line=3, side="old"),),
        ),
    ),
    "summary_hostile": (
        review(
            summary="/merge\n\n[[_TOC_]]\n\n```mermaid\ngraph\n```\n<!-- gca:v1 task=x item=y -->"
        ),
        Placed(threads=3),
    ),
}


def check(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.md"
    if os.environ.get("GOLDEN"):
        path.write_text(text + "\n", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text + "\n"


@pytest.mark.parametrize("name", FINDINGS)
def test_golden_finding(name):
    text = body_of(FINDINGS[name])

    check(name, text)
    assert [] == commands(text)
    assert (Marker(TASK, "abc-def"),) == read_markers(text)


@pytest.mark.parametrize("name", SUMMARIES)
def test_golden_summary(name):
    text = summary_body(SUMMARIES[name][0], REQUEST, SUMMARIES[name][1], policy=POLICY)

    check(name, text)
    assert [] == commands(text)
    assert (Marker(TASK, "summary"),) == read_markers(text)


@pytest.mark.parametrize("reason", get_args(FailureReason))
def test_golden_failure(reason):
    failed = TaskFailed(
        task_id=TASK, head_sha=SHA, reason=reason, detail="/srv/x: 10.0.0.7", stages={"clone": 3.0}
    )
    text = failure_body(failed, REQUEST)

    check(f"failure_{reason}", text)
    assert "/srv" not in text
    assert (Marker(TASK, "notice"),) == read_markers(text)


def test_golden_notice_settled():
    check("notice_settled", notice_settled(REQUEST))


def test_a_secret_withholds_the_text_but_not_the_place_sr_27():
    text = body_of(FINDINGS["finding_withheld"])

    assert text.startswith(f"**Error:** {WITHHELD}")
    assert "canary" not in text


def test_the_largest_review_fits_into_one_note_sr_31():
    many = tuple(
        finding(position=None, comment="word " * 2_000, file="d/" * 300) for _ in range(200)
    )
    skipped = tuple(SkippedFile(path="p/" * 2_000 + str(n), why="w " * 900) for n in range(3_000))
    big = review(summary="s " * 500_000, findings=many, skipped=skipped)

    text = summary_body(big, REQUEST, Placed(unplaced=many, still_open=many), policy=POLICY)

    assert len(text) < GITLAB_CHARS / 3
    assert text.count("line 12") + text.count("lines 12-14") >= 400
