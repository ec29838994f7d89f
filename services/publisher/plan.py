"""What is still to do for a review, given what GitLab shows already: pure. Called by `reviews`.

Only notes of our own user id count; a marker in anybody else's note means nothing (SR-28).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from libs.common.events.tasks import TaskRequested
from libs.common.gitlab.models import Discussion, MergeRequest
from services.publisher.fingerprints import Named, place_of
from services.publisher.markers import read_markers
from services.publisher.mishap_words import MISHAP
from services.publisher.replies import REPLY

SUMMARY = "summary"
NOTICE = "notice"


class Thread(msgspec.Struct, frozen=True, kw_only=True):
    """One of our inline discussions, as its hidden marker names it."""

    discussion_id: str
    task_id: str
    fingerprint: str
    open: bool


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One of our two notes on the merge request as a whole."""

    note_id: int
    task_id: str
    body: str


class Ours(msgspec.Struct, frozen=True, kw_only=True):
    """All that we left on a merge request."""

    threads: tuple[Thread, ...] = ()
    summary: Standing | None = None
    notice: Standing | None = None

    def of_task(self, task_id: str) -> bool:
        """Whether something of this task is there already."""
        standing = self.summary is not None and self.summary.task_id == task_id
        return standing or any(thread.task_id == task_id for thread in self.threads)


class Todo(msgspec.Struct, frozen=True, kw_only=True):
    """Findings to post, findings that are there, and those an earlier thread speaks of still."""

    missing: tuple[Named, ...]
    present: tuple[tuple[Named, str], ...]
    """With the discussion id."""
    still_open: tuple[Named, ...]


def ours(discussions: Sequence[Discussion], user_id: int) -> Ours:
    """What we left, by the first note of each discussion; the oldest summary wins."""
    threads: list[Thread] = []
    standing: dict[str, Standing] = {}
    for discussion in discussions:
        if not discussion.notes or discussion.notes[0].author_id != user_id:
            continue
        first = discussion.notes[0]
        for mark in read_markers(first.body):
            if mark.fingerprint in {REPLY, MISHAP}:
                continue
            if mark.fingerprint in {SUMMARY, NOTICE}:
                standing.setdefault(
                    mark.fingerprint,
                    Standing(note_id=first.id, task_id=mark.task_id, body=first.body),
                )
            else:
                threads.append(
                    Thread(
                        discussion_id=discussion.id,
                        task_id=mark.task_id,
                        fingerprint=mark.fingerprint,
                        open=not first.resolved,
                    )
                )
    return Ours(threads=tuple(threads), summary=standing.get(SUMMARY), notice=standing.get(NOTICE))


def todo(wanted: Sequence[Named], found: Ours, task_id: str) -> Todo:
    """Split what the review wants: there already, said before at this place, or to be posted.

    A thread of an earlier task silences one finding at its place, not every later one. On the
    same head a finding that people resolved is none any more.
    """
    mine = {t.fingerprint: t.discussion_id for t in found.threads if t.task_id == task_id}
    others = [t for t in found.threads if t.task_id != task_id]
    earlier = [place_of(t.fingerprint) for t in others if t.open]
    settled = [t.fingerprint for t in others if not t.open and _same_head(t.task_id, task_id)]
    missing: list[Named] = []
    present: list[tuple[Named, str]] = []
    still_open: list[Named] = []
    for item in wanted:
        place = place_of(item.fingerprint)
        if item.fingerprint in mine:
            present.append((item, mine[item.fingerprint]))
        elif item.fingerprint in settled:
            settled.remove(item.fingerprint)
        elif place in earlier:
            earlier.remove(place)
            still_open.append(item)
        else:
            missing.append(item)
    return Todo(missing=tuple(missing), present=tuple(present), still_open=tuple(still_open))


def _same_head(task_id: str, other: str) -> bool:
    """Of reviews: project, iid and head are the first four parts of the id."""
    return task_id.split("-")[:4] == other.split("-")[:4]


def outdated(request: TaskRequested, mr: MergeRequest | None) -> str | None:
    """Why nothing may be written for this task any more, or None (the last look before it)."""
    if mr is None:
        return "the merge request is gone"
    if mr.state != "opened":
        return f"the merge request is {mr.state}"
    if mr.sha != request.head_sha:
        return f"head moved to {mr.sha[:12]}"
    if mr.target_branch != request.target_branch:
        return "the target branch changed"
    return None
