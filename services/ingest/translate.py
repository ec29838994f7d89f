"""From a webhook's body to the event it means, or why it means none. Pure, never raises.

Called by `webhook` with a body from an authenticated hook. The body is still only a hint: the
reviewer and the coder read ids, shas and authors again from the API (SR-03).
"""

from __future__ import annotations

from typing import Any

from services.ingest import merge_requests, notes
from services.ingest.body import Body
from services.ingest.meaning import OTHER, Ignored, Meaning, Translated
from services.ingest.notes import UNKNOWN, Agent

__all__ = ["KNOWN_KINDS", "Ignored", "Meaning", "Translated", "kind_of", "translate"]
KNOWN_KINDS = frozenset(
    {
        "access_token",
        "build",
        "deployment",
        "emoji",
        "feature_flag",
        "issue",
        "merge_request",
        "milestone",
        "note",
        "pipeline",
        "push",
        "release",
        "repository_update",
        "tag_push",
        "vulnerability",
        "wiki_page",
        "work_item",
    }
)
NOT_AN_OBJECT = "the body is not a JSON object"
NOT_HANDLED = "this kind of event is not handled"


def translate(body: Any, agent: Agent = UNKNOWN) -> Meaning:
    """What the hook means; `agent` is who we are in GitLab."""
    if not isinstance(body, dict):
        return Ignored(reason=NOT_AN_OBJECT)
    kind = kind_of(body)
    if kind == notes.KIND:
        return notes.note(body, agent)
    if kind == merge_requests.KIND:
        return merge_requests.merge_request(body)
    return Ignored(reason=NOT_HANDLED, kind=kind)


def kind_of(body: Body) -> str:
    """The kind, one of `KNOWN_KINDS` or `other`, so that a stranger cannot invent metrics."""
    kind = body.get("object_kind") or body.get("event_name")
    return kind if isinstance(kind, str) and kind in KNOWN_KINDS else OTHER
