"""Reads a command again before anything is done: still there, by whom, and may they ask.

Called by the reviewer and the coder on `note.command`. The event is a hint; what counts is what
GitLab's API says at execution (SR-03, SR-06). An API error that is no 404 is raised, so that the
consumer tries again: nobody gets in because GitLab was away.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from libs.common.access import CommandClass, Levels, effective_level, role
from libs.common.commands import Command, CommandName, command
from libs.common.events.facts import NoteCommand
from libs.common.events.tasks import AskedIn, Requester
from libs.common.gitlab.errors import NotFound
from libs.common.gitlab.models import Discussion, Member, MergeRequest, Note, User

OLDEST = timedelta(hours=24)
"""A command that waited longer, for whatever reason, is not what the person wants any more."""
CUT_AT = 64 * 1024
"""Characters of a note that an event holds; one of this length may be a beginning only."""
CLASSES: dict[CommandName, CommandClass | None] = {
    "help": None,
    "review": "read",
    "ask": "read",
    "code": "write",
}
"""None: whoever may comment may ask."""


class GitLab(Protocol):
    """What is asked of GitLab to look a command up."""

    async def discussion(self, project_id: int, iid: int, discussion_id: str) -> Discussion: ...

    async def discussions(self, project_id: int, iid: int) -> list[Discussion]: ...

    async def merge_request(self, project_id: int, iid: int) -> MergeRequest: ...

    async def member(self, project_id: int, user_id: int) -> Member | None: ...

    async def user(self, user_id: int) -> User: ...


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A command that stands, of a person who may give it. State and sha are not judged here."""

    command: Command
    mr: MergeRequest
    note: Note
    asked_in: AskedIn
    requester: Requester


class Denied(msgspec.Struct, frozen=True, kw_only=True):
    """A command that stands, of a person whose role is too low; `needed` is the one that would do.

    Strangers, blocked accounts and expired memberships have no role at all.
    """

    command: Command
    mr: MergeRequest
    note: Note
    asked_in: AskedIn
    requester: Requester
    needed: str


class Ignored(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing that is answered; `why` is for the log."""

    why: str


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What GitLab says of a command; `member` is None for a stranger."""

    note: Note
    asked_in: AskedIn
    mr: MergeRequest
    member: Member | None


async def look_up(
    event: NoteCommand, *, gitlab: GitLab, agent: User | None, levels: Levels, now: datetime
) -> Asked | Denied | Ignored:
    """The command as it stands at `now`, with at most five calls; raises what GitLab raises.

    `agent` is the account that the publisher writes with, None when it is not known.
    """
    if now - event.created_at >= OLDEST:
        return Ignored(why=_OLD)
    try:
        found = await _note(event, gitlab)
        if found is None:
            return Ignored(why=_GONE)
        note, asked_in = found
        heard = hear(event, note, agent=agent, now=now)
        if isinstance(heard, Ignored):
            return heard
        if (await gitlab.user(note.author_id)).bot:
            return Ignored(why="a bot wrote it")
        mr = await gitlab.merge_request(event.project_id, event.iid)
    except NotFound:
        return Ignored(why=_GONE)
    member = None
    if CLASSES[heard.name] is not None:
        member = await gitlab.member(event.project_id, note.author_id)
    said = Said(note=note, asked_in=asked_in, mr=mr, member=member)
    return judge(heard, said, levels=levels, now=now)


def hear(event: NoteCommand, note: Note, *, agent: User | None, now: datetime) -> Command | Ignored:
    """What the note asks for; `Ignored` when a note like this must not start work (SR-09)."""
    if note.system:
        return Ignored(why="GitLab wrote it")
    if agent is not None and note.author_id == agent.id:
        return Ignored(why="we wrote it")
    if not _same_text(event.text, note.body):
        return Ignored(why="it was edited")
    if now - (note.created_at or event.created_at) >= OLDEST:
        return Ignored(why=_OLD)
    heard = command(note.body, agent.username if agent else "")
    return heard or Ignored(why="it is no command")


def judge(heard: Command, said: Said, *, levels: Levels, now: datetime) -> Asked | Denied:
    """Whether the author's role in the project is enough for this command."""
    what, member, note = CLASSES[heard.name], said.member, said.note
    level = 0
    if member is not None:
        level = effective_level(
            member.access_level,
            state=member.state,
            expires_at=member.expires_at,
            today=now.date(),
        )
    requester = Requester(
        name=note.author_username,
        user_id=note.author_id,
        access_level=level,
        rule=rule(heard.name, levels),
    )
    asked = Asked(command=heard, mr=said.mr, note=note, asked_in=said.asked_in, requester=requester)
    if what is None or level >= levels.needed(what):
        return asked
    return Denied(**msgspec.structs.asdict(asked), needed=role(levels.needed(what)))


def rule(name: CommandName, levels: Levels) -> str:
    """The rule that is applied to a command, in words for the audit (SR-44)."""
    what = CLASSES[name]
    who = f"{role(levels.needed(what))} or more" if what else "whoever may comment"
    return f"{who} may ask for {_WORDS[name]}"


_WORDS: dict[CommandName, str] = {
    "help": "help",
    "review": "a review",
    "ask": "an answer",
    "code": "code",
}


async def _note(event: NoteCommand, gitlab: GitLab) -> tuple[Note, AskedIn] | None:
    """The note, by its discussion where that is known; else all discussions are read once."""
    if event.discussion_id:
        try:
            named = await gitlab.discussion(event.project_id, event.iid, event.discussion_id)
        except NotFound:
            pass
        else:
            return _in([named], event.note_id)
    return _in(await gitlab.discussions(event.project_id, event.iid), event.note_id)


def _in(discussions: list[Discussion], note_id: int) -> tuple[Note, AskedIn] | None:
    for discussion in discussions:
        for note in discussion.notes:
            if note.id == note_id:
                return note, AskedIn(note_id=note_id, discussion_id=discussion.id)
    return None


def _same_text(seen: str, now: str) -> bool:
    """Whether the note still reads as the event has it, which may have cut it."""
    return seen == now if len(seen) < CUT_AT else now.startswith(seen)


_OLD, _GONE = "it is older than 24 hours", "it is gone"
