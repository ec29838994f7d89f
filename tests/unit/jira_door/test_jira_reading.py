"""Jira's JSON with everything missing, the poller's query, and headers of refusals."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from libs.common.jira import reading
from libs.common.jira.errors import Invalid, rate_limit_delay, retry_after
from libs.common.jira.jql import checked_key, ready_query
from libs.common.jira.models import Issue, User

NOW = 1_900_000_000.0


@pytest.mark.parametrize("fields", [None, {}, [], {"status": None, "creator": 5, "created": "x"}])
def test_an_issue_needs_no_more_than_a_key(fields):
    found = reading.issue({"key": "PROJ-1", "fields": fields}, "https://jira.test/")
    assert found == Issue(key="PROJ-1", web_url="https://jira.test/browse/PROJ-1")


@pytest.mark.parametrize("raw", [None, [], {}, {"key": None}, {"key": "x"}, {"key": "PROJ-1/x"}])
def test_what_has_no_key_is_no_issue(raw):
    with pytest.raises(msgspec.ValidationError):
        reading.issue(raw, "https://jira.test")


@pytest.mark.parametrize("make", [reading.change, reading.comment, reading.transition])
@pytest.mark.parametrize("raw", [None, [], {}, {"id": None}, {"id": ""}, {"id": []}])
def test_what_has_no_id_is_no_entry(make, raw):
    with pytest.raises(msgspec.ValidationError):
        make(raw)


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ({"field": "status", "fieldId": "status", "fieldtype": "jira"}, "status"),
        ({"field": "status", "fieldtype": "jira"}, "status"),
        ({"field": "status", "fieldtype": "custom"}, ""),
        ({"field": "status", "fieldId": "customfield_10001"}, "customfield_10001"),
        ({"field": "Status", "fieldId": "status"}, "status"),
        ({}, ""),
    ],
)
def test_sr_11_a_custom_field_called_status_is_another_field(item, field):
    [found] = reading.change({"id": "1", "items": [item]}).items
    assert found.field == field


@pytest.mark.parametrize(
    ("raw", "restricted"),
    [
        ({}, False),
        ({"visibility": {"type": "role", "value": "Administrators"}}, True),
        ({"jsdPublic": True}, False),
        ({"jsdPublic": False}, True),
    ],
)
def test_sr_10_a_comment_for_some_people_is_marked(raw, restricted):
    assert reading.comment({"id": "1", "body": "x"} | raw).restricted is restricted


@pytest.mark.parametrize(
    ("raw", "restricted"),
    [
        (None, False),
        ({"id": "10", "name": "Staff only"}, True),
        ({"id": "10"}, True),
        ({"id": "10", "name": ""}, True),
        ({}, True),
        ("10", True),
    ],
)
def test_sr_10_a_security_level_hides_an_issue_also_without_a_name(raw, restricted):
    found = reading.issue({"key": "PROJ-1", "fields": {"security": raw}}, "https://jira.test")
    assert bool(found.security_level) is restricted


@pytest.mark.parametrize(
    ("raw", "identity"),
    [
        ({"accountId": "712020:x", "name": "n"}, "712020:x"),
        ({"name": "alice", "key": "JIRAUSER1"}, "alice"),
        ({"key": "JIRAUSER1"}, "JIRAUSER1"),
        (None, ""),
    ],
)
def test_a_user_has_the_id_of_the_dialect(raw, identity):
    assert reading.user(raw) == User(id=identity)


def test_the_query_is_bounded_and_quoted():
    assert ready_query(
        {"PROJ", "A_1"}, 'Say "go" \\ now', updated_within=timedelta(seconds=90)
    ) == (
        'project in ("A_1", "PROJ") AND status = "Say \\"go\\" \\\\ now" AND updated >= -2m '
        "ORDER BY created ASC"
    )


@pytest.mark.parametrize("key", ["", "proj", "PROJ-1", "1A", 'A"', "A B", "Ä", "A\n"])
def test_a_project_key_that_is_none_is_invalid(key):
    with pytest.raises(Invalid, match="JIRA_PROJECT_MAP"):
        ready_query([key], "AI Ready")


@pytest.mark.parametrize("status", ["", "  ", "a\nb", "a\x00b", "x" * 256])
def test_a_status_that_is_none_is_invalid(status):
    with pytest.raises(Invalid, match="JIRA_TRIGGER_STATUS"):
        ready_query(["PROJ"], status)


@pytest.mark.parametrize("key", ["PROJ-1", "A_1-123"])
def test_an_issue_key_is_itself(key):
    assert checked_key(key) == key


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "17"}, 17),
        ({"retry-after": "0"}, 1),
        ({"retry-after": "99999"}, 300),
        ({"retry-after": "Sun, 17 Mar 2030 17:46:50 GMT"}, 10),
        ({"retry-after": "soon"}, 30),
        ({"retry-after": "²"}, 30),
        ({"x-ratelimit-reset": "2030-03-17T17:47Z"}, 20),
        ({"x-ratelimit-reset": "later"}, 30),
        ({}, 30),
    ],
)
def test_the_wait_after_too_many_requests(headers, seconds):
    assert rate_limit_delay(headers, NOW) == pytest.approx(seconds)


def test_without_a_header_there_is_no_wait_to_read():
    assert retry_after({}, NOW) is None
