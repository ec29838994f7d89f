"""What a person is told of an event that nobody could handle: pure. Called by `mishaps`.

Nothing of the event's text and nothing of the reason is in it: both are for operators, who find
them by the letter's number.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from libs.common import subjects
from libs.common.errors import Permanent
from libs.common.jetstream.letters import DeadLetter
from libs.common.jira.adf_writing import from_text
from services.publisher.markers import marker
from services.publisher.wording import file_name, note

MISHAP = "dead-letter"
"""The item of such a note's marker."""
_HEAD = re.compile(r"[0-9a-f]{16}")


class Concern(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a dead letter concerns, and which work was given up."""

    scope: str
    ref: str
    work: str
    name: str
    """Names the event, so that one note is written of it whoever gave up, and however often."""
    head: str = ""
    """First characters of the head that got no review; empty when it is about anything else."""
    task_id: str = ""

    @property
    def issue_key(self) -> str:
        """Empty when it is about a merge request."""
        return "" if self.scope.isdecimal() else f"{self.scope}-{self.ref}"


def concern(letter: DeadLetter) -> Concern | None:
    """None when nobody waits for what was given up, or it was done by another service."""
    subject = letter.original
    try:
        scope, ref = subjects.scope_and_ref(subject)
    except Permanent:
        return None
    if (scope, ref) == subjects.DOCTOR or (scope.isdecimal() and not ref.isdecimal()):
        return None
    kind, last = ".".join(subject.split(".")[:2]), subjects.last_token(subject)
    work, head, task_id = _work(kind, last, letter.service), "", ""
    if not work:
        return None
    if kind == "mr.opened":
        head = last
    elif kind == "task.result":
        task_id = last
    name = f"dead-{hashlib.sha256(subject.encode()).hexdigest()[:12]}"
    return Concern(scope=scope, ref=ref, work=work, name=name, head=head, task_id=task_id)


def _work(kind: str, last: str, service: str) -> str:
    match kind, service:
        case "mr.opened", "reviewer" if _HEAD.fullmatch(last):
            return f"the review of `{last[:8]}`"
        case "note.command", "reviewer" | "coder" if last.isdecimal():
            return f"what [this note](#note_{last}) asks for"
        case "jira.ready", "coder":
            return "the work for this issue"
        case "task.result", "publisher":
            return f"what task {file_name(last)} brought"
    return ""


def body(letter: DeadLetter, found: Concern) -> str:
    return note([_sentence(letter, found)], marker(found.name, MISHAP))


def document(letter: DeadLetter, found: Concern) -> dict[str, Any]:
    """The same for Jira, where the name stands in the text."""
    return from_text(f"{_plain(_sentence(letter, found))}\n\nReference {found.name}")


def _sentence(letter: DeadLetter, found: Concern) -> str:
    return (
        f"**Something went wrong on the agent's side**, so {found.work} was given up. An operator "
        f"finds out why with `gca dead-letters show {letter.id}` and has it tried again with "
        f"`gca dead-letters retry {letter.id}`."
    )


def _plain(text: str) -> str:
    return text.replace("**", "")
