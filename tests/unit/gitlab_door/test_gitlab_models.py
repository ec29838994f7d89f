"""JSON of GitLab as structs."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest

from libs.common.events.tasks import DiffRefs
from libs.common.gitlab.models import (
    Award,
    Branch,
    Discussion,
    DraftNote,
    Member,
    MergeRequest,
    read,
)

RAW = {
    "id": 900,
    "iid": 7,
    "project_id": 42,
    "title": "Change a.py",
    "description": None,
    "state": "opened",
    "source_branch": "topic",
    "target_branch": "main",
    "source_project_id": None,
    "sha": None,
    "diff_refs": None,
    "author": {"id": 8, "username": "alice", "name": "Alice"},
    "updated_at": "2025-08-06T01:11:08.123Z",
    "something_new": {"deep": [None]},
}


def test_nulls_are_defaults_and_unknown_fields_are_skipped():
    found = read(MergeRequest, RAW)

    assert (found.project_id, found.iid, found.sha, found.description) == (42, 7, "", "")
    assert (found.diff_refs, found.source_project_id) == (None, None)
    assert (found.author_id, found.author_username) == (8, "alice")


def test_diff_refs_count_only_when_complete():
    half = {"base_sha": "b", "start_sha": None, "head_sha": "h"}
    whole = {"base_sha": "b", "start_sha": "s", "head_sha": "h"}

    assert read(MergeRequest, RAW | {"diff_refs": half}).diff_refs is None
    assert read(MergeRequest, RAW | {"diff_refs": whole}).diff_refs == DiffRefs(**whole)


def test_the_author_of_each_note_is_its_own():
    notes = [{"id": 1, "author": {"id": 3, "username": "bot"}}, {"id": 2, "author": None}]
    found = read(Discussion, {"id": "d", "notes": notes})

    assert [(note.author_id, note.author_username) for note in found.notes] == [(3, "bot"), (0, "")]


def test_a_branch_is_as_far_as_its_commit():
    commit = {"id": "f" * 40, "author_name": "Alice", "trailers": {}}
    raw = {"name": "a/b", "commit": commit, "protected": True, "can_push": False, "default": None}

    assert Branch(name="a/b", sha="f" * 40, protected=True) == read(Branch, raw)


def test_an_emoji_is_by_a_user():
    raw = {"id": 4, "name": "eyes", "user": {"id": 8, "username": "alice"}, "awardable_id": 9}
    assert Award(id=4, name="eyes", user_id=8) == read(Award, raw)


@pytest.mark.parametrize(("raw", "expires_at"), [(None, None), ("2025-10-22", date(2025, 10, 22))])
def test_a_membership_may_end(raw, expires_at):
    found = read(Member, {"id": 8, "access_level": 30, "state": "blocked", "expires_at": raw})
    assert Member(id=8, access_level=30, state="blocked", expires_at=expires_at) == found


def test_a_draft_without_a_line_code_says_none():
    assert read(DraftNote, {"id": 1, "note": "x", "line_code": None}).line_code is None


@pytest.mark.parametrize("raw", [None, [], {}, "x", {"iid": "x"}])
def test_what_is_no_merge_request_is_refused(raw):
    with pytest.raises(msgspec.ValidationError):
        read(MergeRequest, raw)
