"""Which change brought an issue into the trigger status, and who made it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from libs.common.jira.models import Change, ChangeItem, Issue, User
from libs.common.jira.status_change import CREATED, StatusChange, entered, may_start

READY = "AI Ready"
IDS = {"To Do": "1", READY: "2", "In Progress": "3", "Robot": "2"}
ALICE, MALLORY = User(id="alice", email="Alice@example.com"), User(id="mallory")
START = datetime(2030, 1, 1, tzinfo=UTC)


def issue(status=READY):
    return Issue(key="PROJ-1", status=status, status_id=IDS[status], creator=ALICE, created=START)


def moved(number, before, after, by=ALICE, **more):
    item = ChangeItem(
        field=more.get("field", "status"),
        from_id=IDS[before],
        from_name=before,
        to_id=IDS[after],
        to_name=after,
    )
    return Change(id=str(number), author=by, created=START + timedelta(hours=number), items=(item,))


def retitled(number, by=MALLORY):
    item = ChangeItem(field="summary", from_name="a", to_name=READY)
    return Change(id=str(number), author=by, created=START + timedelta(hours=number), items=(item,))


def test_the_last_move_into_the_status_counts():
    history = [
        moved(1, "To Do", READY, MALLORY),
        moved(2, READY, "In Progress"),
        moved(3, "In Progress", READY, ALICE),
        retitled(4),
    ]
    expected = StatusChange(id="3", author=ALICE, at=START + timedelta(hours=3))

    assert entered(issue(), history, READY) == expected
    assert entered(issue(), reversed(history), READY) == expected


def test_an_issue_that_comes_back_has_another_id():
    once = [moved(1, "To Do", READY)]
    again = [*once, moved(2, READY, "To Do"), moved(3, "To Do", READY)]

    ids = [found.id for history in (once, again) if (found := entered(issue(), history, READY))]
    assert ids == ["1", "3"]


def test_an_issue_that_was_never_moved_was_created_there_by_its_creator():
    expected = StatusChange(id=CREATED, author=ALICE, at=START)
    assert entered(issue(), [retitled(1)], READY) == expected


def test_an_issue_that_has_moved_on_is_none():
    assert entered(issue("In Progress"), [moved(1, "To Do", READY)], READY) is None


def test_sr_11_a_history_that_does_not_explain_the_status_is_none():
    history = [moved(1, "To Do", READY), moved(2, READY, "In Progress")]
    assert entered(issue(), history, READY) is None


def test_sr_11_another_field_called_status_moves_nothing():
    history = [
        moved(1, "To Do", READY, MALLORY),
        moved(2, READY, "In Progress", ALICE, field="customfield_10001"),
    ]
    found = entered(issue(), history, READY)
    assert found is not None
    assert found.author == MALLORY


def test_sr_11_a_move_from_the_status_to_itself_does_not_change_who_it_was():
    history = [moved(1, "To Do", READY, MALLORY), moved(2, READY, READY, ALICE)]
    found = entered(issue(), history, READY)
    assert found is not None
    assert found.author == MALLORY


def test_a_status_that_was_renamed_is_known_by_its_id():
    found = entered(issue("Robot"), [moved(1, "To Do", READY)], "robot")
    assert found is not None
    assert found.id == "1"


def test_changes_of_one_moment_are_in_the_order_of_their_ids():
    first, second = moved(9, "To Do", READY), moved(10, READY, "To Do")
    last = moved(11, "To Do", READY, MALLORY)
    together = [Change(id=c.id, author=c.author, items=c.items) for c in (last, second, first)]

    found = entered(issue(), together, READY)
    assert found is not None
    assert (found.id, found.author) == ("11", MALLORY)


@pytest.mark.parametrize(
    ("author", "allowed", "expected"),
    [
        (MALLORY, [], True),
        (ALICE, ["alice"], True),
        (ALICE, [" ALICE@example.com "], True),
        (MALLORY, ["alice"], False),
        (User(), ["alice"], False),
        (User(), ["", " "], True),
        (User(display_name="alice"), ["alice"], False),
    ],
)
def test_sr_11_only_allowed_people_start_work(author, allowed, expected):
    assert may_start(author, allowed) is expected
