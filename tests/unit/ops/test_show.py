"""The terminal of `gca up`: what is said, and what is said only once."""

from __future__ import annotations

import io
import json

import pytest

from libs.common.events.facts import JiraReady
from libs.common.events.tasks import (
    Answered,
    ChangesProposed,
    NothingToDo,
    Refused,
    Superseded,
    Write,
)
from services.ops.show import FORGOTTEN, Outage, Screen
from tests.unit.ops.chains import CODING, A, asked, chain, published

LOST = {
    "event": "disconnected from NATS, trying again until it is back",
    "level": "warning",
    "url": "nats://127.0.0.1:4222",
}
AWAY = {"event": "NATS at x is not reachable: refused (NATS_URL)", "level": "warning"}
AWAY |= {"peer": "nats"}
FAILED = {
    "event": "reconciling failed, it is tried again",
    "level": "warning",
    "why": "sending to EVENTS: NATS is away (OutboundBufferLimitError)",
}
BACK = {"event": "reconnected to NATS", "level": "info"}


def said(*lines: tuple[str, dict[str, str]]) -> list[str]:
    out = io.StringIO()
    screen = Screen(out)
    for name, fields in lines:
        screen.child_line(name, json.dumps(fields))
    return [line[10:].strip() for line in out.getvalue().splitlines()]


def test_an_outage_of_nats_is_said_once_and_its_end_too():
    names = ("ingest", "reviewer", "coder", "publisher")
    lines = said(
        *((name, LOST) for name in names),
        *((name, AWAY) for name in names),
        ("reviewer", FAILED),
        *((name, BACK) for name in names),
    )

    assert 2 == len(lines)
    assert "NATS is away" in lines[0]
    assert "NATS is back" in lines[1]


def test_a_second_outage_is_said_again():
    outage = Outage()
    heard = [
        outage.heard(LOST, 0),
        outage.heard(BACK, 1),
        outage.heard(LOST, 2),  # a service that noticed late
        outage.heard(BACK, 3),
        outage.heard(LOST, 30),
        outage.heard(LOST, 30 + FORGOTTEN + 1),
    ]
    assert ["news", "over", "same", "same", "news", "news"] == heard


def test_a_refused_login_is_each_service_s_own_trouble():
    refused = {"event": "NATS at x refuses our credentials (NATS_URL)", "level": "warning"}
    refused |= {"peer": "nats"}

    lines = said(("ingest", refused), ("coder", refused))

    assert ["ingest", "coder"] == [line.split()[1].rstrip(":") for line in lines]


ISSUE = JiraReady(
    issue_key="PROJ-12", change_id="7", status="AI Ready", account_name="Bob", summary="Greet",
    project_id=42,
)  # fmt: skip


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (asked(), "event    42!7 alice wrote: /copilot add a test"),
        (ISSUE, "event    PROJ-12 is AI Ready, by Bob: Greet"),
        (
            ChangesProposed(task_id=CODING, head_sha=A, subject="Add a test", summary="s",
                            files=("a", "b"), left_out=("c",)),
            f"result   {CODING} changes 2 files, 1 left out: Add a test",
        ),
        (Answered(task_id="ask-1", head_sha=A, answer="Yes."), "result   ask-1 has its answer"),
        (
            Answered(task_id="ask-1", head_sha=A, answer="", help=True),
            "result   ask-1 is answered with the help",
        ),
        (
            NothingToDo(task_id=CODING, head_sha=A, summary="It is there."),
            f"result   {CODING} changes nothing: It is there.",
        ),
        (
            Refused(task_id=CODING, head_sha=A, code="access", needed="Developer"),
            (f"result   {CODING} is refused: the person's role in the project does not reach "
            "(needs Developer)"),
        ),
        (
            Superseded(task_id=CODING, head_sha=A, by="the head moved", next_task_id="coding-2"),
            f"result   {CODING} superseded by coding-2",
        ),
        (
            published(task_id=CODING, commit_sha=A, branch="topic", web_url="http://x/1"),
            f"posted   commit {A[:12]} on topic http://x/1",
        ),
        (
            published(task_id=CODING, commit_sha=A, branch="agent/PROJ-12", merge_request_iid=8,
                      writes=(Write(what="jira_comment", id="1"),), web_url="http://x/8"),
            (f"posted   Draft merge request !8, commit {A[:12]} on agent/PROJ-12, "
            "a comment in Jira http://x/8"),
        ),
        (published(task_id="ask-1", web_url="http://x/1"), "posted   a reply http://x/1"),
    ],
)  # fmt: skip
def test_each_step_of_a_command_or_an_issue_is_one_line(event, line):
    out = io.StringIO()
    [record] = chain(event)

    Screen(out).record(record)

    assert line == out.getvalue()[10:].rstrip("\n")
