"""From a comment's hook to the command it is, or why it is none. Pure, never raises.

Called by `translate`. The reviewer and the coder read the note again before they act on it, and ask
GitLab whether its author is a bot: the hook does not say so (SR-03, SR-09).
"""

from __future__ import annotations

import re

import msgspec

from libs.common import subjects
from libs.common.commands import command
from libs.common.events.facts import NoteCommand
from services.ingest import body as read
from services.ingest.body import Body
from services.ingest.meaning import NO_IID, NO_PROJECT, Ignored, Meaning, Translated

KIND = "note"
LONGEST_TEXT = 64 * 1024
"""Characters of a note that an event keeps."""
NOT_ON_MR = "the comment is not on a merge request"
BY_GITLAB = "the comment is GitLab's own"
EDITED = "the comment was edited; only a new one can be a command"
NO_ACTION = "this action on a comment is not handled"
NO_COMMAND = "the comment is no command"
OURS = "the comment is the agent's own"
BY_BOT = "the comment is by a bot of a project or group"
NO_NOTE = "the comment's id is not a positive number"
NO_AUTHOR = "the author's id is not a positive number"
NO_TIME = "created_at is missing"
_BOT = re.compile(r"(?:project|group)_[0-9]+_bot(?:[0-9]*|_[0-9a-z]+)", re.IGNORECASE)
"""User names that GitLab gives to the bots of access tokens (doc/user/project/settings)."""
_DISCUSSION = re.compile(r"[0-9A-Za-z]{1,64}")


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """Who we are in GitLab; a part that is not known yet is empty or 0."""

    username: str = ""
    user_id: int = 0
    sought: bool = False
    """GitLab is being asked: until it answers, whoever a note mentions may be us."""


UNKNOWN = Agent()
_SOMEBODY = re.compile(r"(?<![\w@/.-])@[A-Za-z0-9_]")


class _Note(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a comment's body that count, as they were found."""

    body: Body
    attributes: Body
    text: str
    username: str


def note(body: Body, agent: Agent) -> Meaning:
    """What the hook says of its comment."""
    attributes = read.mapping(body.get("object_attributes"))
    found = _Note(
        body=body,
        attributes=attributes,
        text=read.text(attributes.get("note"), LONGEST_TEXT),
        username=read.text(read.mapping(body.get("user")).get("username")),
    )
    meaning = _why_not(found, agent) or _command(found)
    if isinstance(meaning, str):
        action = read.text(attributes.get("action"), 40)
        return Ignored(reason=meaning, kind=KIND, action=action)
    return meaning


def _why_not(note: _Note, agent: Agent) -> str | None:
    """Why the comment is nothing to act on, whatever its ids are."""
    if note.attributes.get("noteable_type") != "MergeRequest":
        return NOT_ON_MR
    if note.attributes.get("system", False) is not False:
        return BY_GITLAB
    changed = _changed(note.attributes)
    if changed:
        return changed
    if command(note.text, agent.username) is None and not _may_call_us(note.text, agent):
        return NO_COMMAND
    if _is_ours(note, agent):
        return OURS
    return BY_BOT if _BOT.fullmatch(note.username) else None


def _may_call_us(text: str, agent: Agent) -> bool:
    """Reviewer and coder know who we are and pass over what is no command; nobody asks again."""
    return agent.sought and not agent.username and _SOMEBODY.search(text) is not None


def _changed(attributes: Body) -> str | None:
    """GitLab says `create` or `update` from 16.11 on; before that only the times tell."""
    action = attributes.get("action", "create")
    if action != "create":
        return EDITED if action == "update" else NO_ACTION
    created, updated = (read.time(attributes.get(f"{name}_at")) for name in ("created", "updated"))
    return EDITED if created and updated and updated > created else None


def _is_ours(note: _Note, agent: Agent) -> bool:
    if agent.user_id and note.attributes.get("author_id") == agent.user_id:
        return True
    return bool(agent.username) and note.username.casefold() == agent.username.casefold()


def _command(note: _Note) -> Translated | str:
    project = read.mapping(note.body.get("project"))
    project_id = read.positive(project.get("id", note.attributes.get("project_id")))
    iid = read.positive(read.mapping(note.body.get("merge_request")).get("iid"))
    if project_id is None or iid is None:
        return NO_PROJECT if project_id is None else NO_IID
    note_id = read.positive(note.attributes.get("id"))
    author_id = read.positive(note.attributes.get("author_id"))
    if note_id is None or author_id is None:
        return NO_NOTE if note_id is None else NO_AUTHOR
    created_at = read.time(note.attributes.get("created_at"))
    if created_at is None:
        return NO_TIME
    return Translated(
        event=NoteCommand(
            project_id=project_id,
            iid=iid,
            note_id=note_id,
            author_id=author_id,
            created_at=created_at,
            text=note.text,
            discussion_id=_discussion_id(note.attributes),
            author_username=note.username,
            internal=_is_internal(note),
        ),
        subject=subjects.note_command(project_id, iid, note_id),
        message_id=f"note.command-{project_id}-{iid}-{note_id}",
        project_path=read.text(project.get("path_with_namespace")),
        kind=KIND,
        action="create",
    )


def _discussion_id(attributes: Body) -> str:
    found = read.text(attributes.get("discussion_id"))
    return found if _DISCUSSION.fullmatch(found) else ""


def _is_internal(note: _Note) -> bool:
    """Only members see it; GitLab also called this confidential (SR-10)."""
    marked = (note.attributes.get("internal"), note.attributes.get("confidential"))
    return any(marked) or note.body.get("event_type") == "confidential_note"
