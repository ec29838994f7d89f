"""What the services can ask of GitLab at all: the ports are the list of it."""

from __future__ import annotations

import inspect

from services.coder import ports as coder
from services.publisher import ports as publisher
from services.reviewer import ports as reviewer


def calls(port: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(port, inspect.isfunction) if name[0] != "_"}


def test_sr_30_the_publisher_can_write_notes_and_open_merge_requests_and_nothing_else():
    """No approval, merge, label, assignee or target: there is no call for it."""
    reads = {
        "current_user",
        "merge_request",
        "merge_requests_from",
        "discussions",
        "discussion",
        "draft_notes",
        "awards",
        "project",
        "file",
    }
    notes = {
        "create_note",
        "update_note",
        "create_discussion",
        "create_draft_note",
        "delete_draft_note",
        "publish_drafts",
        "reply",
        "award",
        "remove_award",
        "create_merge_request",
    }

    assert reads | notes == calls(publisher.GitLab)


def test_sr_38_the_reviewer_only_reads():
    reads = {"merge_request", "versions", "commits", "project"}
    people = {"discussion", "discussions", "member", "user"}

    assert reads | people == calls(reviewer.MergeRequests)


def test_sr_38_the_coder_only_reads():
    reads = {"merge_request", "versions", "commits", "project", "branch", "protected_branches"}
    people = {"discussion", "discussions", "member", "user"}

    assert reads | people == calls(coder.GitLab)
