"""Facts: what ingest saw in GitLab and Jira. Meaning is decided later, from history.

A fact is a hint: ids, shas and authors are read again from the API before work (SR-03).
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

OpenedWhy = Literal["open", "push", "reopen", "ready", "target", "poll"]


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Root of everything in the log; unknown fields are skipped, new fields have defaults."""


class MrOpened(Event, frozen=True, kw_only=True, tag="mr.opened.v1"):
    """This head of this open merge request was seen; drafts too, the reviewer decides."""

    project_id: int
    iid: int
    head_sha: str
    why: OpenedWhy
    draft: bool = False
    source_branch: str = ""
    target_branch: str = ""
    old_sha: str = ""
    """The head before this one, when a push moved it (`oldrev`)."""
    updated_at: datetime | None = None


class MrClosed(Event, frozen=True, kw_only=True, tag="mr.closed.v1"):
    """The merge request was closed or merged."""

    project_id: int
    iid: int
    state: Literal["closed", "merged"]
    updated_at: datetime | None = None


class NoteCommand(Event, frozen=True, kw_only=True, tag="note.command.v1"):
    """A person wrote `/copilot …` in a merge request, or mentioned the bot there."""

    project_id: int
    iid: int
    note_id: int
    author_id: int
    created_at: datetime
    """When the note was written, by GitLab's clock."""
    text: str
    """The whole note, cut to 64 KB; one that reads otherwise later was edited and is left."""
    discussion_id: str = ""
    author_username: str = ""
    internal: bool = False


class JiraReady(Event, frozen=True, kw_only=True, tag="jira.ready.v1"):
    """An issue of a mapped project entered the trigger status by the hand of an allowed user."""

    issue_key: str
    change_id: str
    """Id of the status change; `created` when the issue was created in that status."""
    status: str
    changed_at: datetime | None = None
    account_id: str = ""
    """Who made the change: accountId on Cloud, user name on Data Center."""
    account_name: str = ""
    summary: str = ""
    description: str = ""
    """As text, cut to 64 KB."""
    issue_type: str = ""
    labels: tuple[str, ...] = ()
    web_url: str = ""
    restricted: bool = False
    """A security level hides the issue from some people (SR-10)."""
    project_id: int
    """GitLab's project, from `JIRA_PROJECT_MAP`, as are the next two."""
    clone_url: str = ""
    target_branch: str = ""
    """Empty: the project's default branch."""


Fact = MrOpened | MrClosed | NoteCommand | JiraReady
