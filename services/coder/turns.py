"""Whose turn it is on a branch: pure, from the log. Called by `advancing` and the reconciler.

One coding task at a time per source project and branch, in the order of the notes that asked
(GitLab's note ids ascend). A task waits while one before it may still push, and while its pin is
stale: a commit of ours came after it was asked for. A stale task never starts, it is asked again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from operator import attrgetter

import msgspec

from libs.common import replaying
from libs.common.events.envelope import Recorded
from libs.common.events.facts import NoteCommand
from libs.common.events.tasks import (
    ChangesProposed,
    Result,
    Superseded,
    TaskPublished,
    TaskRequested,
)
from libs.common.launching.plan import OpenTask

Branch = tuple[int, str]
"""Source project and name."""
_PART = re.compile(r"(.+)-p([1-9][0-9]{0,3})")


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A coding task with all that the log has of it; `asked_seq` is where its note is there."""

    request: TaskRequested
    record: Recorded
    asked_seq: int
    result: Result | None = None
    before: Result | None = None
    """The end of the same command's task with the pin before this one."""
    published: TaskPublished | None = None
    published_seq: int = 0
    is_served: bool = False
    """Another task of the same command, of a replay or of the first time, made its commit."""

    @property
    def is_open(self) -> bool:
        return self.result is None

    @property
    def is_proposed(self) -> bool:
        """Its change is on its way to the branch."""
        return isinstance(self.result, ChangesProposed) and self.published is None

    @property
    def is_orphan(self) -> bool:
        """The command was ended while somebody asked it again; the person was told."""
        if self.is_open and self.is_served:
            return True
        if not self.is_open or self.before is None:
            return False
        named = self.before.next_task_id if isinstance(self.before, Superseded) else ""
        return named != self.request.task_id

    @property
    def commit_sha(self) -> str:
        """Its commit on the branch; empty as long as there is none."""
        return self.published.commit_sha if self.published else ""

    @property
    def order(self) -> tuple[int, int]:
        """Of one command what was asked for sooner comes first, whatever its replay or pin."""
        asked_in = self.request.asked_in
        return (asked_in.note_id if asked_in else 0, self.record.seq)


def part(task_id: str) -> int:
    """How often the command was asked with another pin: 1 for the first."""
    found = _PART.fullmatch(task_id)
    return int(found[2]) if found else 1


def following(task_id: str) -> str:
    """The id under which the same command is asked again: `…-p2` after the first."""
    found = _PART.fullmatch(task_id)
    return f"{found[1] if found else task_id}-p{part(task_id) + 1}"


def preceding(task_id: str) -> str:
    """The id with the pin before; empty for the first."""
    found = _PART.fullmatch(task_id)
    if found is None:
        return ""
    return f"{found[1]}-p{part(task_id) - 1}" if part(task_id) > 2 else found[1]


def lines(records: Iterable[Recorded]) -> dict[Branch, list[Turn]]:
    """The coding tasks of each branch, in the order in which they may push."""
    records = list(records)
    ends = {r.event.task_id: r.event for r in records if isinstance(r.event, Result)}
    published = {r.event.task_id: r for r in records if isinstance(r.event, TaskPublished)}
    notes = {
        (r.event.project_id, r.event.iid, r.event.note_id): r.seq
        for r in records
        if isinstance(r.event, NoteCommand)
    }
    served = {replaying.first_id(task_id) for task_id, r in published.items() if _commit(r)}
    found: dict[Branch, list[Turn]] = {}
    for record in records:
        request = record.event
        if not isinstance(request, TaskRequested) or request.push is None:
            continue
        posted = published.get(request.task_id)
        turn = Turn(
            request=request,
            record=record,
            asked_seq=_asked_seq(record, request, notes),
            result=ends.get(request.task_id),
            before=ends.get(preceding(request.task_id)),
            published=posted.event if posted and isinstance(posted.event, TaskPublished) else None,
            published_seq=posted.seq if posted else 0,
            is_served=replaying.first_id(request.task_id) in served,
        )
        found.setdefault((request.push.project_id, request.push.branch), []).append(turn)
    return {branch: sorted(turns, key=attrgetter("order")) for branch, turns in found.items()}


def _commit(record: Recorded) -> str:
    return record.event.commit_sha if isinstance(record.event, TaskPublished) else ""


def _asked_seq(
    record: Recorded, request: TaskRequested, notes: dict[tuple[int, int, int], int]
) -> int:
    """Own commits after this place in the log make the pin stale.

    For the first request it is the note's: while GitLab was read, a commit may have come.
    """
    if request.asked_in is None or part(request.task_id) > 1:
        return record.seq
    note = (request.project_id, request.iid, request.asked_in.note_id)
    # The log shows the newest event of a note, which may be a replay after the request.
    return min(notes.get(note, record.seq), record.seq)


def newest_commit(line: Sequence[Turn]) -> Turn | None:
    """The last task of the branch whose commit is on it."""
    pushed = [turn for turn in line if turn.commit_sha]
    return max(pushed, key=attrgetter("published_seq"), default=None)


def own_commits(line: Sequence[Turn]) -> frozenset[str]:
    """Commits that our tasks put on the branch."""
    return frozenset(turn.commit_sha for turn in line if turn.commit_sha)


def is_stale(turn: Turn, line: Sequence[Turn]) -> bool:
    """Whether our own commit came after the turn was asked for, and it is not pinned to it."""
    newest = newest_commit(line)
    if newest is None or turn.request.asked_in is None:
        return False
    moved = newest.commit_sha != turn.request.head_sha
    return moved and newest.published_seq > turn.asked_seq


def must_wait(turn: Turn, line: Sequence[Turn], started: Collection[str] = ()) -> bool:
    """Whether another task of the branch has to be published first.

    A later note may have been decided sooner; its task, once `started`, is not overtaken.
    """
    return any(_is_in_the_way(other, turn, started) for other in line if other is not turn)


def _is_in_the_way(other: Turn, turn: Turn, started: Collection[str]) -> bool:
    if other.request.expires_at < turn.record.time:
        # Nobody publishes it any more; the branch is not lost for that.
        return False
    if other.is_orphan:
        return False
    if other.is_proposed or not other.is_open:
        return other.is_proposed
    runs, other_runs = turn.request.task_id in started, other.request.task_id in started
    return other_runs if runs != other_runs else other.order < turn.order


def next_turn(line: Sequence[Turn]) -> Turn | None:
    """The task of the branch that may start, or has started, if there is one."""
    mine = (turn for turn in line if turn.is_open and not turn.is_orphan)
    return next((turn for turn in mine if not must_wait(turn, line)), None)


def on_hold(
    _: Iterable[OpenTask], records: Iterable[Recorded], started: Collection[str]
) -> set[str]:
    """Ids of open tasks that must not start: the reconciler's `Hold`."""
    found = lines(records)
    held = _behind_twins([turn for line in found.values() for turn in line])
    for line in found.values():
        held |= {
            turn.request.task_id
            for turn in line
            if turn.is_open
            and (turn.is_orphan or must_wait(turn, line, started) or is_stale(turn, line))
        }
    return held


def _behind_twins(turns: Iterable[Turn]) -> set[str]:
    """Tasks behind another of the same command or status change, which may be on another branch.

    Two replays may ask at one moment; the second runs only if the first leaves no commit.
    """
    unsettled: set[str] = set()
    held: set[str] = set()
    for turn in sorted(turns, key=lambda turn: turn.record.seq):
        first = replaying.first_id(turn.request.task_id)
        if turn.is_open and first in unsettled:
            held.add(turn.request.task_id)
        if (turn.is_open and not turn.is_orphan) or turn.is_proposed:
            unsettled.add(first)
    return held
