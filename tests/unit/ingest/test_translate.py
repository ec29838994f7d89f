from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.events.envelope import encode
from libs.common.events.facts import MrClosed, MrOpened
from services.ingest import meaning, merge_requests
from services.ingest import translate as routes
from services.ingest.meaning import Ignored, Translated
from services.ingest.translate import translate
from tests.unit.ingest.bodies import A, B, merge_request

NOON = datetime(2025, 8, 6, 1, 11, 8, tzinfo=UTC)
SHA16 = "a" * 16
PREFIX = f"mr.opened-42-7-{SHA16}-"
MOMENT = "20250806T011108000Z"


def translated(body: Any) -> Translated:
    found = translate(body)
    assert isinstance(found, Translated), found
    return found


def test_an_opened_merge_request_is_a_seen_head() -> None:
    found = translated(merge_request("open"))
    assert found.event == MrOpened(
        project_id=42,
        iid=7,
        head_sha=A,
        why="open",
        source_branch="thing",
        target_branch="main",
        updated_at=NOON,
    )
    assert found.subject == f"mr.opened.42.7.{SHA16}"
    assert found.message_id == PREFIX + "open"
    assert found.project_path == "Team/App"


@pytest.mark.parametrize(
    ("action", "attributes", "why", "name"),
    [
        ("open", {}, "open", "open"),
        ("update", {"oldrev": B}, "push", "b" * 12),
        ("reopen", {}, "reopen", f"reopen-{MOMENT}"),
        (
            "update",
            {"changes": {"draft": {"previous": True, "current": False}}},
            "ready",
            f"ready-{MOMENT}",
        ),
        (
            "update",
            {"changes": {"target_branch": {"previous": "old", "current": "main"}}},
            "target",
            f"target-{MOMENT}",
        ),
    ],
)
def test_the_message_id_names_the_observation(
    action: str, attributes: dict[str, Any], why: str, name: str
) -> None:
    found = translated(merge_request(action, **attributes))
    assert (found.event.why, found.message_id) == (why, PREFIX + name)  # type: ignore[union-attr]  # opened


def test_a_push_keeps_the_old_head() -> None:
    event = translated(merge_request("update", oldrev=B)).event
    assert isinstance(event, MrOpened)
    assert event.old_sha == B


def test_a_force_push_there_and_back_gives_three_names() -> None:
    names = {
        translated(merge_request("open")).message_id,
        translated(merge_request("update", oldrev=A, last_commit={"id": B})).message_id,
        translated(merge_request("update", oldrev=B)).message_id,
    }
    assert len(names) == 3


@pytest.mark.parametrize(("action", "state"), [("close", "closed"), ("merge", "merged")])
def test_the_end_of_a_merge_request_needs_no_head(action: str, state: str) -> None:
    found = translated(merge_request(action, state=state, last_commit=None, source=None))
    assert found.event == MrClosed(project_id=42, iid=7, state=state, updated_at=NOON)
    assert found.subject == f"mr.closed.42.7.{state}"
    assert found.message_id == f"mr.closed-42-7-{state}-{MOMENT}"


@pytest.mark.parametrize(
    "updated_at",
    ["2025-08-06 01:11:08 UTC", "2025-08-06T01:11:08Z", "2025-08-06T01:11:08.000Z"],
)
def test_the_three_time_formats_give_one_name(updated_at: str) -> None:
    found = translated(merge_request("reopen", updated_at=updated_at))
    assert found.message_id == PREFIX + f"reopen-{MOMENT}"
    assert found.event.updated_at == NOON


def test_reopenings_within_one_second_have_names_of_their_own() -> None:
    first = translated(merge_request("reopen", updated_at="2025-08-06T01:11:08.100Z"))
    second = translated(merge_request("reopen", updated_at="2025-08-06T01:11:08.900Z"))
    assert first.message_id != second.message_id


def test_a_time_format_of_the_future_still_tells_moments_apart() -> None:
    found = translated(merge_request("reopen", updated_at="Wed, 06 Aug 2025 01:11:08"))
    assert found.message_id == PREFIX + "reopen-Wed06Aug2025011108"
    assert found.event.updated_at is None


@pytest.mark.parametrize("title", ["Draft: x", "draft: x", "WIP: x", "[Draft] x", "(Draft) x"])
def test_servers_without_a_draft_change_show_readiness_in_the_title(title: str) -> None:
    changes = {"title": {"previous": title, "current": "x"}}
    event = translated(merge_request("update", title="x", changes=changes)).event
    assert isinstance(event, MrOpened)
    assert (event.why, event.draft) == ("ready", False)


@pytest.mark.parametrize(
    "changes",
    [
        {"title": {"previous": "x", "current": "Draft: x"}},
        {"title": {"previous": "Draft: x", "current": "Draft: y"}},
        {"title": {"previous": "x", "current": "y"}},
        {"title": {"previous": "Drafty x", "current": "x"}},
        {"draft": {"previous": False, "current": True}},
        {"draft": {}, "title": {"previous": "Draft: x", "current": "x"}},
        {"labels": {"previous": [], "current": [{"id": 1}]}},
        {"merge_status": {"previous": "can_be_merged", "current": "unchecked"}},
        {},
        None,
    ],
)
def test_an_update_that_changes_no_code_means_nothing(changes: Any) -> None:
    expected = Ignored(reason=merge_requests.NO_CHANGE, kind="merge_request", action="update")
    assert translate(merge_request("update", changes=changes)) == expected


@pytest.mark.parametrize(
    ("attributes", "draft"),
    [
        ({"draft": True}, True),
        ({"draft": None, "work_in_progress": True}, True),
        ({"draft": None, "title": "Draft: x"}, True),
        ({"draft": False, "title": "Draft: x"}, False),
    ],
)
def test_drafts_are_logged_as_drafts(attributes: dict[str, Any], *, draft: bool) -> None:
    event = translated(merge_request("open", **attributes)).event
    assert isinstance(event, MrOpened)
    assert event.draft is draft


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"last_commit": None}, merge_requests.NO_HEAD),
        ({"last_commit": {"id": "HEAD"}}, merge_requests.NO_HEAD),
        ({"last_commit": {"id": A[:39]}}, merge_requests.NO_HEAD),
        ({"last_commit": [A]}, merge_requests.NO_HEAD),
        ({"iid": 0}, meaning.NO_IID),
        ({"iid": True}, meaning.NO_IID),
        ({"iid": "7"}, meaning.NO_IID),
        ({"iid": 2**63}, meaning.NO_IID),
        ({"state": "merged"}, merge_requests.NOT_OPEN),
        ({"state": "closed"}, merge_requests.NOT_OPEN),
    ],
)
def test_a_head_that_cannot_be_named_is_ignored_with_a_reason(
    changed: dict[str, Any], reason: str
) -> None:
    expected = Ignored(reason=reason, kind="merge_request", action="open")
    assert translate(merge_request("open", **changed)) == expected


@pytest.mark.parametrize("project_id", ["42", True, -1, 0, 1.5, None, [42], 2**70])
def test_a_project_id_is_a_positive_number(project_id: Any) -> None:
    body = merge_request("open")
    body["project"]["id"] = project_id
    assert translate(body) == Ignored(
        reason=meaning.NO_PROJECT, kind="merge_request", action="open"
    )


@pytest.mark.parametrize(
    ("action", "reason"),
    [("update", merge_requests.NO_OLD_HEAD), ("reopen", merge_requests.NO_TIME)],
)
def test_what_would_have_no_name_is_ignored(action: str, reason: str) -> None:
    body = merge_request(action, oldrev="x", updated_at=None)
    assert translate(body) == Ignored(reason=reason, kind="merge_request", action=action)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([], Ignored(reason=routes.NOT_AN_OBJECT)),
        ({}, Ignored(reason=routes.NOT_HANDLED)),
        ({"object_kind": ["push"]}, Ignored(reason=routes.NOT_HANDLED)),
        ({"object_kind": "made_up"}, Ignored(reason=routes.NOT_HANDLED)),
        ({"event_name": "project_create"}, Ignored(reason=routes.NOT_HANDLED)),
        ({"object_kind": "push"}, Ignored(reason=routes.NOT_HANDLED, kind="push")),
        (
            merge_request("approved"),
            Ignored(reason=merge_requests.NO_ACTION, kind="merge_request", action="approved"),
        ),
    ],
)
def test_other_hooks_say_why_they_mean_nothing(body: Any, expected: Ignored) -> None:
    assert translate(body) == expected


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.sampled_from([A, B, "Draft: x", "merge_request", "closed", "2025-08-06 01:11:08 UTC"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("iid", "state", "draft", "title", "source_branch", "updated_at", "last_commit", "oldrev")


@given(
    action=st.sampled_from(["open", "reopen", "update", "close", "merge"]) | ANYTHING,
    changed=st.dictionaries(st.sampled_from(FIELDS), ANYTHING),
    changes=ANYTHING | st.dictionaries(st.sampled_from(["draft", "title"]), ANYTHING),
    project=ANYTHING,
)
def test_sr_02_no_body_is_too_strange(
    action: Any, changed: dict[str, Any], changes: Any, project: Any
) -> None:
    body = merge_request("open", changes=changes, **changed)
    body["object_attributes"]["action"] = action
    if project is not None:
        body["project"] = project
    found = translate(body)
    if isinstance(found, Translated):
        assert encode(found.event)
        assert found.message_id.isascii()
        assert len(found.message_id) < 128
