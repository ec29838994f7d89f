from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.events.envelope import encode
from libs.common.events.facts import JiraReady
from libs.common.jira.models import Change, ChangeItem, Issue, User
from services.ingest import jira_issues
from services.ingest.jira_issues import (
    WORDS,
    Looked,
    Ready,
    Rules,
    Skipped,
    judge,
)
from services.ingest.jira_map import JiraProject
from services.ingest.task_subject import scope_and_ref

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADA = User(id="712020:ada", display_name="Ada Byron", email="ada@example.com")
PROJECT = JiraProject(
    key="PROJ", gitlab_project_id=42, clone_url="https://gitlab.test/a/b.git", target_branch="main"
)
RULES = Rules(status="AI Ready", projects={"PROJ": PROJECT})
ISSUE = Issue(
    key="PROJ-123",
    summary="Accept vouchers",
    description="Customers pay\n\n* with a voucher",
    status="AI Ready",
    status_id="7",
    issue_type="Story",
    labels=("shop",),
    creator=ADA,
    created=NOW - timedelta(days=3),
    updated=NOW,
    web_url="https://jira.test/browse/PROJ-123",
)


def moved(to: str = "7", change_id: str = "10457", by: User = ADA, ago: float = 60) -> Change:
    item = ChangeItem(field="status", from_id="1", to_id=to, to_name="AI Ready")
    created = NOW - timedelta(seconds=ago)
    return Change(id=change_id, author=by, created=created, items=(item,))


def issue(**changes: Any) -> Issue:
    return msgspec.structs.replace(ISSUE, **changes)


def rules(**changes: Any) -> Rules:
    return msgspec.structs.replace(RULES, **changes)


def test_an_issue_that_entered_the_status_is_an_event() -> None:
    assert judge(ISSUE, [moved()], RULES, NOW) == Ready(
        event=JiraReady(
            issue_key="PROJ-123",
            change_id="10457",
            status="AI Ready",
            changed_at=NOW - timedelta(minutes=1),
            account_id="712020:ada",
            account_name="Ada Byron",
            summary="Accept vouchers",
            description="Customers pay\n\n* with a voucher",
            issue_type="Story",
            labels=("shop",),
            web_url="https://jira.test/browse/PROJ-123",
            project_id=42,
            clone_url="https://gitlab.test/a/b.git",
            target_branch="main",
        ),
        subject="jira.ready.PROJ.123.10457",
        message_id="jira.ready-PROJ-123-10457",
    )


def test_an_issue_that_comes_back_is_another_event() -> None:
    back = [moved(ago=90), moved("1", "10458", ago=60), moved(change_id="10459", ago=30)]
    found = judge(ISSUE, back, RULES, NOW)
    assert isinstance(found, Ready)
    assert found.subject == "jira.ready.PROJ.123.10459"


def test_an_issue_created_in_the_status_is_its_creator_s() -> None:
    found = judge(ISSUE, [], RULES, NOW)
    assert isinstance(found, Ready)
    assert (found.event.change_id, found.event.account_id) == ("created", "712020:ada")
    assert scope_and_ref("coding-PROJ-123-created") == ("PROJ", "123")


@pytest.mark.parametrize("who", ["712020:ADA", "ada@example.com", " Ada@Example.com "])
def test_sr_11_somebody_on_the_list_starts_work(who: str) -> None:
    assert isinstance(judge(ISSUE, [moved()], rules(allowed_users=("x", who)), NOW), Ready)


@pytest.mark.parametrize(
    "by", [User(id="712020:eve", display_name="Ada Byron"), User(), User(display_name="ada")]
)
def test_sr_11_nobody_else_does(by: User) -> None:
    found = judge(ISSUE, [moved(by=by)], rules(allowed_users=("712020:ada",)), NOW)
    assert found == Skipped(outcome=jira_issues.NOT_ALLOWED, account=by.id)


def test_sr_11_who_wrote_the_issue_does_not_count_who_moved_it_does() -> None:
    mine = issue(creator=User(id="712020:eve"))
    assert isinstance(judge(mine, [moved()], rules(allowed_users=("712020:ada",)), NOW), Ready)


def test_sr_10_an_issue_that_is_hidden_from_some_is_marked_and_its_words_stay_in_jira() -> None:
    found = judge(issue(security_level="Staff only"), [moved()], RULES, NOW)
    assert isinstance(found, Ready)
    assert found.event.restricted is True
    assert (found.event.summary, found.event.description) == ("", "")


@pytest.mark.parametrize(
    ("changed", "history", "outcome"),
    [
        ({"key": "OTHER-1"}, [moved()], jira_issues.NOT_MAPPED),
        ({"key": f"PROJ-{10**60}"}, [moved()], jira_issues.NOT_MAPPED),
        ({"status": "In Progress"}, [moved()], jira_issues.MOVED_ON),
        ({"status": ""}, [moved()], jira_issues.MOVED_ON),
        ({}, [moved("9")], jira_issues.UNEXPLAINED),
        ({}, [moved(change_id="../x")], jira_issues.UNEXPLAINED),
        ({}, [moved(change_id="9" * 41)], jira_issues.UNEXPLAINED),
        ({}, [moved(ago=29 * 86_400)], jira_issues.TOO_OLD),
    ],
)
def test_what_starts_nothing_says_why(
    changed: dict[str, Any], history: list[Change], outcome: str
) -> None:
    found = judge(issue(**changed), history, RULES, NOW)
    assert isinstance(found, Skipped)
    assert found.outcome == outcome
    assert WORDS[outcome]


def test_an_empty_description_is_an_empty_text() -> None:
    found = judge(issue(description="", summary=""), [moved()], RULES, NOW)
    assert isinstance(found, Ready)
    assert (found.event.summary, found.event.description) == ("", "")


@given(text=st.text(st.characters(exclude_categories=())), many=st.integers(1, 5))
def test_no_text_of_an_issue_is_too_strange_or_too_long(text: str, many: int) -> None:
    long = text * (many * 70_000 // max(len(text), 1))
    odd = issue(summary=long, description=long, labels=(text,) * 200, issue_type=long)
    found = judge(odd, [moved()], RULES, NOW)
    assert isinstance(found, Ready)
    assert len(encode(found.event)) < 512 * 1024


def test_an_issue_that_stands_in_the_status_is_looked_at_once() -> None:
    looked = Looked()
    assert looked.is_news(ISSUE)
    looked.done(ISSUE, ISSUE)
    assert not looked.is_news(ISSUE)
    assert looked.is_news(issue(updated=NOW + timedelta(milliseconds=1)))


def test_a_search_that_lags_behind_what_was_read_costs_nothing() -> None:
    looked = Looked()
    looked.done(ISSUE, issue(updated=NOW + timedelta(minutes=5)))
    assert not looked.is_news(issue(updated=NOW + timedelta(minutes=5)))
    assert looked.is_news(issue(updated=NOW + timedelta(minutes=6)))


def test_an_issue_without_times_is_looked_at_once() -> None:
    looked = Looked()
    looked.done(issue(updated=None), issue(updated=None))
    assert not looked.is_news(issue(updated=None))
    assert looked.is_news(ISSUE)


def test_what_left_the_status_is_forgotten() -> None:
    looked = Looked()
    looked.done(ISSUE, ISSUE)
    looked.keep(["PROJ-124"])
    assert looked == Looked()


def test_what_makes_no_sense_is_looked_at_a_few_times() -> None:
    looked = Looked()
    tries = [looked.is_worth_another(ISSUE) for _ in range(jira_issues.MOST_DOUBTS)]
    assert tries == [True] * (jira_issues.MOST_DOUBTS - 1) + [False]
