"""The poller's decisions, one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.common.events.envelope import Recorded
from libs.common.events.facts import MrClosed, MrOpened
from libs.common.gitlab.changed import Changed
from libs.common.gitlab.models import Note
from services.ingest import polling
from services.ingest.notes import Agent
from services.ingest.polling import MOST_SINGLE, MOST_TRIES, Cursor, Looked, Mark, Rules
from services.ingest.translate import Ignored, translate
from tests.unit.ingest import bodies

T0 = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
A, B = "a" * 40, "b" * 40
AGENT = Agent(username="gca-bot", user_id=99)


def row(**fields: Any) -> Changed:
    known: dict[str, Any] = {
        "project_id": 42,
        "iid": 7,
        "state": "opened",
        "updated_at": T0,
        "sha": A,
        "source_branch": "topic",
        "target_branch": "main",
        "references": {"full": "shop/app!7"},
    }
    return Changed(**(known | fields))


def opened(seq: int = 5, **fields: Any) -> Recorded:
    known: dict[str, Any] = {"head_sha": A, "why": "open", "target_branch": "main"}
    event = MrOpened(project_id=42, iid=7, **(known | fields))
    return Recorded(subject="mr.opened.42.7.x", seq=seq, time=T0, event=event)


def closed(state: Any = "closed", seq: int = 6, **fields: Any) -> Recorded:
    event = MrClosed(project_id=42, iid=7, state=state, **fields)
    return Recorded(subject=f"mr.closed.42.7.{state}", seq=seq, time=T0, event=event)


@pytest.mark.parametrize(
    ("changed", "last", "message_id"),
    [
        (row(), None, f"mr.opened-42-7-{A[:16]}-poll-0"),
        (row(), opened(), None),
        (row(sha=B), opened(), f"mr.opened-42-7-{B[:16]}-poll-5"),
        (row(draft=True), opened(), f"mr.opened-42-7-{A[:16]}-poll-5"),
        (row(draft=True), opened(draft=True), None),
        (row(target_branch="next"), opened(), f"mr.opened-42-7-{A[:16]}-poll-5"),
        (row(), closed(), f"mr.opened-42-7-{A[:16]}-poll-6"),
        (row(state="closed"), opened(), "mr.closed-42-7-closed-poll-5"),
        (row(state="merged"), opened(), "mr.closed-42-7-merged-poll-5"),
        (row(state="closed"), closed(), None),
        (row(state="merged"), closed(), "mr.closed-42-7-merged-poll-6"),
        (row(state="closed"), None, None),
        (row(state="locked"), opened(), None),
        (row(state="odd"), opened(), None),
        (row(sha=""), None, None),
        (row(sha=B[:7]), None, None),
    ],
)
def test_only_what_the_log_says_otherwise_is_an_event(
    changed: Changed, last: Recorded | None, message_id: str | None
) -> None:
    found = polling.fact(changed, last)
    assert (found.message_id if found else None) == message_id


def test_a_row_that_was_read_before_the_last_event_says_nothing() -> None:
    later = T0 + timedelta(seconds=1)
    assert polling.fact(row(), opened(head_sha=B, updated_at=later)) is None
    assert polling.fact(row(), closed(updated_at=later)) is None
    assert polling.fact(row(updated_at=later), opened(head_sha=B, updated_at=later)) is not None


def test_the_event_says_what_the_webhook_would() -> None:
    found = polling.fact(row(draft=True), None)
    assert found is not None
    assert found.subject == f"mr.opened.42.7.{A[:16]}"
    assert found.event == MrOpened(
        project_id=42,
        iid=7,
        head_sha=A,
        why="poll",
        draft=True,
        source_branch="topic",
        target_branch="main",
        updated_at=T0,
    )


def note(note_id: int = 9, **fields: Any) -> Note:
    known: dict[str, Any] = {
        "body": "/copilot review",
        "author_id": 11,
        "author_username": "alice",
        "created_at": T0,
        "updated_at": T0,
    }
    return Note(id=note_id, **(known | fields))


def asked(*notes: Note, since: datetime = T0 - timedelta(hours=1), now: datetime = T0) -> list[int]:
    found = polling.commands(row(), notes, AGENT, since=since, now=now)
    assert all(each.kind == "note" for each in found)
    return [each.event.note_id for each in found]  # type: ignore[union-attr]  # just seen


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        ({}, True),
        ({"body": "@gca-bot review"}, True),
        ({"body": "please review"}, False),
        ({"system": True}, False),
        ({"author_id": 99}, False),
        ({"author_username": "GCA-Bot"}, False),
        ({"author_username": "project_42_bot_0f"}, False),
        ({"updated_at": T0 + timedelta(seconds=2)}, False),
        ({"created_at": None}, False),
        ({"internal": True}, True),
    ],
)
def test_sr_09_a_note_is_a_command_by_the_webhook_s_rules(
    fields: dict[str, Any], *, counts: bool
) -> None:
    assert asked(note(**fields)) == ([9] if counts else [])


def test_commands_come_oldest_first_and_not_from_before() -> None:
    old = note(3, created_at=T0 - timedelta(hours=2), updated_at=T0 - timedelta(hours=2))
    assert asked(note(9), old, note(5)) == [5, 9]


def test_a_command_older_than_a_day_never_runs() -> None:
    later = T0 + timedelta(hours=24)
    assert asked(note(), since=T0 - timedelta(days=9), now=later) == [9]
    assert asked(note(), since=T0 - timedelta(days=9), now=later + timedelta(seconds=1)) == []


def test_a_polled_command_is_the_one_that_the_webhook_tells() -> None:
    hook = bodies.note()
    told = translate(hook, AGENT)
    assert not isinstance(told, Ignored)
    event = told.event
    again = Note(
        id=event.note_id,  # type: ignore[union-attr]  # a command
        body=event.text,  # type: ignore[union-attr]  # a command
        author_id=event.author_id,  # type: ignore[union-attr]  # a command
        author_username=event.author_username,  # type: ignore[union-attr]  # a command
        created_at=event.created_at,  # type: ignore[union-attr]  # a command
        updated_at=event.created_at,  # type: ignore[union-attr]  # a command
    )
    place = row(project_id=event.project_id, iid=event.iid)
    moment = event.created_at  # type: ignore[union-attr]  # a command
    [found] = polling.commands(place, [again], AGENT, since=moment, now=moment)
    assert (found.subject, found.message_id) == (told.subject, told.message_id)


@pytest.mark.parametrize(
    ("projects", "groups", "host", "calls"),
    [
        (("42", "shop/app"), ("team",), "gitlab.test", 3),
        (tuple(f"shop/p{n}" for n in range(MOST_SINGLE)), (), "gitlab.test", MOST_SINGLE),
        (tuple(f"shop/p{n}" for n in range(1000)), ("a", "b"), "gitlab.test", 3),
        (tuple(f"shop/p{n}" for n in range(30)), (), "gitlab.com", 30),
    ],
)
def test_where_one_look_asks(
    projects: tuple[str, ...], groups: tuple[str, ...], host: str, calls: int
) -> None:
    assert len(polling.places(projects, groups, host)) == calls


def test_the_next_page_begins_where_the_last_row_was() -> None:
    first = Cursor(since=T0)
    later = [row(updated_at=T0 + timedelta(seconds=n)) for n in range(3)]
    assert first.after(later) == Cursor(since=T0 + timedelta(seconds=2))
    assert first.after([row()]) == Cursor(since=T0, number=2)
    assert Cursor(since=T0, number=2).after([row()]) == Cursor(since=T0, number=3)
    assert Cursor(since=T0, number=3).after(later).number == 1


def test_a_mark_never_goes_backwards() -> None:
    early, late = Mark(through=T0, complete=T0), Mark(through=T0, complete=T0 + timedelta(days=1))
    assert early.later(late) == late.later(early) == late


@pytest.mark.parametrize(("minutes", "wrong"), [(0, False), (4, False), (6, True), (10**6, True)])
def test_a_mark_from_the_future_is_wrong(minutes: int, *, wrong: bool) -> None:
    ahead = T0 + timedelta(minutes=minutes)
    assert polling.is_ahead(Mark(through=ahead, complete=T0), T0) is wrong
    assert polling.is_ahead(Mark(through=T0, complete=ahead), T0) is wrong


def test_the_first_look_reaches_back() -> None:
    begin = T0 - timedelta(hours=2)
    assert polling.first_mark(T0, Rules(look_back=timedelta(hours=2))) == Mark(
        through=begin, complete=begin
    )


def test_a_merge_request_is_news_until_it_was_quiet_for_a_minute() -> None:
    looked = Looked()
    assert looked.is_news(row())
    looked.done(row(), T0 + timedelta(seconds=64))
    assert looked.is_news(row())
    looked.done(row(), T0 + timedelta(seconds=65))
    assert not looked.is_news(row())
    assert looked.is_news(row(updated_at=T0 + timedelta(seconds=1)))
    looked.forget_before(T0 + timedelta(seconds=1))
    assert looked.is_news(row())


def test_what_gitlab_cannot_show_is_given_up_after_some_tries() -> None:
    looked = Looked()
    assert [looked.failed(row()) for _ in range(MOST_TRIES)] == [False] * (MOST_TRIES - 1) + [True]
