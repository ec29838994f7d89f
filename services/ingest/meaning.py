"""What a hook may mean: an event for the log, or nothing, with the reason. Pure.

Made by `merge_requests` and `notes`, read by `webhook`.
"""

from __future__ import annotations

import msgspec

from libs.common.events.facts import MrClosed, MrOpened, NoteCommand

OTHER = "other"
NO_PROJECT = "the project id is not a positive number"
NO_IID = "the iid is not a positive number"


class Translated(msgspec.Struct, frozen=True, kw_only=True):
    """The event that a hook means, with its subject and the name of this observation."""

    event: MrOpened | MrClosed | NoteCommand
    subject: str
    message_id: str
    project_path: str
    kind: str
    action: str = ""


class Ignored(msgspec.Struct, frozen=True, kw_only=True):
    """A hook that means no event; `reason` is one of a few constant sentences."""

    reason: str
    kind: str = OTHER
    action: str = ""


Meaning = Translated | Ignored
