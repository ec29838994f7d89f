"""From a merge request's hook to the event it means, or why it means none. Pure, never raises.

Called by `translate`. Project and system hooks carry the same body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from libs.common import subjects
from libs.common.events.facts import MrClosed, MrOpened, OpenedWhy
from services.ingest import body as read
from services.ingest.body import Body
from services.ingest.meaning import NO_IID, NO_PROJECT, Ignored, Meaning, Translated

KIND = "merge_request"
NO_ACTION = "this action on a merge request is not handled"
NO_CHANGE = "the update neither pushes, makes ready nor retargets"
NOT_OPEN = "the merge request is not open any more"
NO_HEAD = "there is no head commit with a full sha"
NO_OLD_HEAD = "oldrev is not a full sha"
NO_TIME = "updated_at is missing"


def merge_request(body: Body) -> Meaning:
    """What the hook says of its merge request."""
    attributes = read.mapping(body.get("object_attributes"))
    action = read.text(attributes.get("action"), 40)
    translation = ACTIONS.get(action)
    if translation is None:
        return Ignored(reason=NO_ACTION, kind=KIND, action=action)
    seen = _seen(body, attributes)
    meaning = seen if isinstance(seen, str) else translation(seen)
    if isinstance(meaning, str):
        return Ignored(reason=meaning, kind=KIND, action=action)
    return msgspec.structs.replace(meaning, action=action)


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a merge request's body that count, as they were found."""

    project_id: int
    project_path: str
    iid: int
    attributes: Body
    changes: Body


def _seen(body: Body, attributes: Body) -> _Seen | str:
    # `project` is the target project, also when `source` is null because the fork is gone.
    project = read.mapping(body.get("project"))
    project_id = read.positive(project.get("id", attributes.get("target_project_id")))
    iid = read.positive(attributes.get("iid"))
    if project_id is None or iid is None:
        return NO_PROJECT if project_id is None else NO_IID
    return _Seen(
        project_id=project_id,
        project_path=read.text(project.get("path_with_namespace")),
        iid=iid,
        attributes=attributes,
        changes=read.mapping(body.get("changes")),
    )


def _opened(seen: _Seen) -> Translated | str:
    return _head(seen, "open", "open")


def _reopened(seen: _Seen) -> Translated | str:
    return _head_at_a_time(seen, "reopen")


def _updated(seen: _Seen) -> Translated | str:
    """An update names what it did only by its `changes`, a push only by `oldrev`."""
    old_head = seen.attributes.get("oldrev")
    if old_head:
        old_sha = read.sha(old_head)
        return _head(seen, "push", old_sha[:12], old_sha) if old_sha else NO_OLD_HEAD
    if "target_branch" in seen.changes:
        return _head_at_a_time(seen, "target")
    return _head_at_a_time(seen, "ready") if _turned_ready(seen.changes) else NO_CHANGE


def _turned_ready(changes: Body) -> bool:
    """Draft to ready: `changes.draft`, or on servers without it the title's prefix."""
    if "draft" in changes:
        draft = read.mapping(changes["draft"])
        return draft.get("previous") is True and draft.get("current") is False
    title = read.mapping(changes.get("title"))
    was_draft = read.is_draft_title(title.get("previous"))
    return was_draft and not read.is_draft_title(title.get("current"))


def _head_at_a_time(seen: _Seen, why: OpenedWhy) -> Translated | str:
    """For what may happen again on one head: the time tells one from the next."""
    moment = read.moment(seen.attributes.get("updated_at"))
    return _head(seen, why, f"{why}-{moment}") if moment else NO_TIME


def _head(seen: _Seen, why: OpenedWhy, name: str, old_sha: str = "") -> Translated | str:
    if seen.attributes.get("state") in ("closed", "merged"):
        return NOT_OPEN
    head_sha = read.sha(read.mapping(seen.attributes.get("last_commit")).get("id"))
    if head_sha is None:
        return NO_HEAD
    return Translated(
        event=MrOpened(
            project_id=seen.project_id,
            iid=seen.iid,
            head_sha=head_sha,
            why=why,
            draft=_is_draft(seen.attributes),
            source_branch=read.text(seen.attributes.get("source_branch")),
            target_branch=read.text(seen.attributes.get("target_branch")),
            old_sha=old_sha,
            updated_at=read.time(seen.attributes.get("updated_at")),
        ),
        subject=subjects.mr_opened(seen.project_id, seen.iid, head_sha),
        message_id=f"mr.opened-{seen.project_id}-{seen.iid}-{head_sha[:16]}-{name}",
        project_path=seen.project_path,
        kind=KIND,
    )


def _is_draft(attributes: Body) -> bool:
    for name in ("draft", "work_in_progress"):
        if isinstance(attributes.get(name), bool):
            return bool(attributes[name])
    return read.is_draft_title(attributes.get("title"))


def _ended(state: Literal["closed", "merged"]) -> Callable[[_Seen], Translated | str]:
    def translation(seen: _Seen) -> Translated | str:
        moment = read.moment(seen.attributes.get("updated_at"))
        if moment is None:
            return NO_TIME
        return Translated(
            event=MrClosed(
                project_id=seen.project_id,
                iid=seen.iid,
                state=state,
                updated_at=read.time(seen.attributes.get("updated_at")),
            ),
            subject=subjects.mr_closed(seen.project_id, seen.iid, state),
            message_id=f"mr.closed-{seen.project_id}-{seen.iid}-{state}-{moment}",
            project_path=seen.project_path,
            kind=KIND,
        )

    return translation


ACTIONS: Mapping[str, Callable[[_Seen], Translated | str]] = {
    "open": _opened,
    "reopen": _reopened,
    "update": _updated,
    "close": _ended("closed"),
    "merge": _ended("merged"),
}
"""GitLab's values of `object_attributes.action` that can mean an event."""
