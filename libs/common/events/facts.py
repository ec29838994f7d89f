"""Facts: what ingest saw in GitLab. Meaning is decided later, from history.

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


Fact = MrOpened | MrClosed
