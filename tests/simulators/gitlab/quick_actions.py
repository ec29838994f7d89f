"""Finds and runs `/commands` in comments, with the rights of whoever wrote them.

Strict on purpose: a lone carriage return starts a line and up to three spaces may stand before
the slash, as in newer servers, so that an output firewall is tried by the hardest reading.
Commands in code blocks and quotes are text. Called by `comments` before a note is saved.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import merge_requests as life
from .state import DEVELOPER
from .world import ExecutedCommand

if TYPE_CHECKING:
    from .state import MergeRequest, User
    from .world import World

_COMMAND = re.compile(r"^ {0,3}/([a-z_]+)(?:[ \t]+(.*))?$", re.IGNORECASE)
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_WITHOUT_EFFECT_HERE = frozenset(
    {
        "award",
        "react",
        "todo",
        "done",
        "subscribe",
        "unsubscribe",
        "estimate",
        "remove_estimate",
        "spend",
        "spent",
        "spend_time",
        "remove_time_spent",
        "milestone",
        "remove_milestone",
        "copy_metadata",
        "submit_review",
        "request_review",
        "request_changes",
        "due",
        "remove_due_date",
        "cc",
        "page",
        "link",
        "clone",
        "move",
        "duplicate",
        "confidential",
        "weight",
        "clear_weight",
        "epic",
        "iteration",
        "health_status",
        "promote",
        "create_merge_request",
        "ship",
        "run_pipeline",
        "rebase",
        "reassign",
        "reassign_reviewer",
        "zoom",
        "remove_zoom",
        "invite_email",
        "convert_to_ticket",
        "timeline",
        "shrug",
        "tableflip",
    }
)


@dataclass(frozen=True)
class Extracted:
    """A text without its commands, and the commands in order."""

    text: str
    commands: list[tuple[str, str]]


@dataclass
class Outcome:
    """What running the commands did; `failed` names those that could not be run."""

    changes: dict[str, Any] = field(default_factory=dict)
    summary: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def extract(body: str) -> Extracted:
    kept: list[str] = []
    commands: list[tuple[str, str]] = []
    fence = ""
    quoting = False
    for line in body.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        mark = _FENCE.match(line)
        if line.strip() == ">>>" and not fence:
            quoting = not quoting
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        match = None if fence or quoting else _COMMAND.match(line)
        if match and match[1].lower() in KNOWN:
            commands.append((match[1].lower(), (match[2] or "").strip()))
        else:
            kept.append(line)
    return Extracted("\n".join(kept).strip() if commands else body, commands)


def run(
    world: World, merge_request: MergeRequest, user: User, commands: list[tuple[str, str]]
) -> Outcome:
    outcome = Outcome()
    for name, argument in commands:
        allowed = merge_request.project.access_level(user) >= DEVELOPER
        if not allowed and not (merge_request.author is user and name in _OWN):
            outcome.failed.append(name)
            continue
        changes = KNOWN[name](world, merge_request, user, argument)
        if changes is None:
            outcome.failed.append(name)
            continue
        world.executed_commands.append(
            ExecutedCommand(
                merge_request.project.id, merge_request.iid, user.username, name, argument
            )
        )
        outcome.changes.update(changes)
        outcome.summary.append(f"Applied /{name}.")
    return outcome


# --- the commands: each returns its changes, or None when it cannot be run ------------

_OWN = {"close", "reopen", "draft", "ready", "title"}


def _approve(world: World, mr: MergeRequest, user: User, _: str) -> dict[str, Any] | None:
    if user in mr.approved_by or mr.state != "opened":
        return None
    life.approve(world, mr, user)
    return {"approve": True}


def _unapprove(world: World, mr: MergeRequest, user: User, _: str) -> dict[str, Any] | None:
    if user not in mr.approved_by:
        return None
    life.unapprove(world, mr, user)
    return {"unapprove": True}


def _merge(world: World, mr: MergeRequest, user: User, _: str) -> dict[str, Any] | None:
    if mr.state != "opened" or mr.draft:
        return None
    life.merge(world, mr, user)
    return {"merge": mr.head_sha}


def _close(world: World, mr: MergeRequest, user: User, _: str) -> dict[str, Any] | None:
    if mr.state != "opened":
        return None
    life.change_state(world, mr, user, "closed")
    return {"state_event": "close"}


def _reopen(world: World, mr: MergeRequest, user: User, _: str) -> dict[str, Any] | None:
    if mr.state != "closed":
        return None
    life.change_state(world, mr, user, "opened")
    return {"state_event": "reopen"}


def _draft(world: World, mr: MergeRequest, user: User, _: str) -> dict[str, Any] | None:
    life.set_draft(world, mr, user, draft=True)
    return {"wip_event": "draft"}


def _ready(world: World, mr: MergeRequest, user: User, _: str) -> dict[str, Any] | None:
    life.set_draft(world, mr, user, draft=False)
    return {"wip_event": "ready"}


def _title(world: World, mr: MergeRequest, user: User, argument: str) -> dict[str, Any] | None:
    if not argument:
        return None
    life.edit(world, mr, user, title=argument)
    return {"title": argument}


def _target(world: World, mr: MergeRequest, user: User, argument: str) -> dict[str, Any] | None:
    if mr.project.repository.branch(argument) is None:
        return None
    life.edit(world, mr, user, target_branch=argument)
    return {"target_branch": argument}


def _lock(world: World, mr: MergeRequest, user: User, _: str) -> dict[str, Any] | None:
    mr.discussion_locked = True
    life.system_note(world, mr, user, "locked the discussion in this merge request")
    return {"discussion_locked": True}


def _unlock(world: World, mr: MergeRequest, user: User, _: str) -> dict[str, Any] | None:
    mr.discussion_locked = False
    life.system_note(world, mr, user, "unlocked the discussion in this merge request")
    return {"discussion_locked": False}


def _label(world: World, mr: MergeRequest, user: User, argument: str) -> dict[str, Any] | None:
    names = re.findall(r'~(?:"([^"]+)"|(\S+))', argument)
    added = [quoted or plain for quoted, plain in names]
    if not added:
        return None
    life.edit(world, mr, user, labels=[*mr.labels, *(n for n in added if n not in mr.labels)])
    return {"add_label_ids": added}


def _unlabel(world: World, mr: MergeRequest, user: User, argument: str) -> dict[str, Any] | None:
    gone = {quoted or plain for quoted, plain in re.findall(r'~(?:"([^"]+)"|(\S+))', argument)}
    life.edit(world, mr, user, labels=[n for n in mr.labels if gone and n not in gone])
    return {"remove_label_ids": sorted(gone)}


def _people(field_name: str, *, remove: bool) -> Any:
    def change(world: World, mr: MergeRequest, user: User, argument: str) -> dict[str, Any] | None:
        names = {word.lstrip("@") for word in argument.split()}
        names = {user.username if name == "me" else name for name in names}
        chosen = [u for u in world.users.values() if u.username in names]
        current: list[User] = getattr(mr, field_name)
        kept = [u for u in current if u not in chosen and not (remove and not names)]
        life.edit(world, mr, user, **{field_name: kept if remove else [*kept, *chosen]})
        return {field_name: [u.username for u in getattr(mr, field_name)]}

    return change


def _nothing(_: World, __: MergeRequest, ___: User, argument: str) -> dict[str, Any] | None:
    return {"noted": argument}


KNOWN: dict[str, Any] = {
    **dict.fromkeys(_WITHOUT_EFFECT_HERE, _nothing),
    "approve": _approve,
    "unapprove": _unapprove,
    "merge": _merge,
    "close": _close,
    "reopen": _reopen,
    "draft": _draft,
    "wip": _draft,
    "ready": _ready,
    "title": _title,
    "target_branch": _target,
    "lock": _lock,
    "unlock": _unlock,
    "label": _label,
    "labels": _label,
    "relabel": _label,
    "unlabel": _unlabel,
    "remove_label": _unlabel,
    "assign": _people("assignees", remove=False),
    "unassign": _people("assignees", remove=True),
    "assign_reviewer": _people("reviewers", remove=False),
    "reviewer": _people("reviewers", remove=False),
    "unassign_reviewer": _people("reviewers", remove=True),
    "remove_reviewer": _people("reviewers", remove=True),
}
