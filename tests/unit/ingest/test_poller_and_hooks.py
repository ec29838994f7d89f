"""Webhook and poller together: whatever the order, a person gets one review, one answer."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from structlog.testing import capture_logs

from libs.common.events.facts import NoteCommand
from tests.fakes.gitlab import ALICE
from tests.unit.ingest import bodies
from tests.unit.ingest.polling_world import A, B, World
from tests.unit.reviewer.world import World as Reviewer


class Both:
    """A poller, hooks, and a reviewer on one log; `deliver` gives it all it has not seen."""

    def __init__(self) -> None:
        self.reviewer = Reviewer()
        log, clock = self.reviewer.log, self.reviewer.clock
        self.ingest = World(clock=clock, log=log)
        self.ingest.gitlab.open(sha=A)
        self.seen = 0
        self.told: dict[str, Any] = {}

    def command(self) -> int:
        """Alice asks for a review; both views of GitLab have the note, and the hook's body."""
        self.reviewer.gitlab.add_member(42, ALICE, 30)
        now, mr = self.ingest.clock.now(), self.reviewer.mr
        written = self.reviewer.gitlab.comment(mr, "/copilot review", ALICE, created_at=now)
        note_id = written.notes[0].id
        self.ingest.gitlab.comment("/copilot review", id=note_id)
        moments = dict.fromkeys(("created_at", "updated_at"), now.isoformat())
        ids = {"id": note_id, "author_id": ALICE.id, "discussion_id": written.id}
        self.told = bodies.note(**ids, **moments)
        return note_id

    async def happen(self, step: str) -> None:
        if step == "hook":
            await self.ingest.hook(bodies.merge_request("open", last_commit={"id": A}))
        elif step == "command hook":
            await self.ingest.hook(self.told)
        elif step == "poll":
            await self.ingest.look()
        elif step == "restart":
            self.ingest.poller = self.ingest.another()
            await self.ingest.look()
        else:
            await self.deliver()
        self.ingest.clock.advance(10)

    async def deliver(self) -> None:
        events = self.reviewer.log.events
        while self.seen < len(events):
            self.seen += 1
            for _ in range(2):
                await self.reviewer.deliver(events[self.seen - 1])


STEPS = ("hook", "hook", "poll", "restart", "deliver", "deliver")
ORDERS = sorted(set(itertools.permutations(STEPS)))


async def test_an_opened_merge_request_is_one_task_in_every_order() -> None:
    for order in ORDERS:
        both = Both()
        with capture_logs():
            for step in order:
                await both.happen(step)
            await both.deliver()
        tasks = [task.task_id for task in both.reviewer.requests()]
        assert [f"review-42-7-{A[:16]}-0"] == tasks, order


async def test_a_command_is_one_event_and_one_task_in_every_order() -> None:
    for order in ORDERS:
        both = Both()
        note_id = both.command()
        with capture_logs():
            for step in order:
                await both.happen("command hook" if step == "hook" else step)
            await both.deliver()
        found = [each for each in both.reviewer.log.events if isinstance(each.event, NoteCommand)]
        assert [f"note.command-42-7-{note_id}"] == [each.message_id for each in found], order
        asked = [task.task_id for task in both.reviewer.requests() if task.asked_in is not None]
        assert [f"review-42-7-{A[:16]}-n{note_id}"] == asked, order


@pytest.mark.parametrize("hooks", list(itertools.product([False, True], repeat=3)))
async def test_a_force_push_and_back_is_seen_by_hook_by_poller_and_by_both(
    hooks: tuple[bool, ...],
) -> None:
    """Whichever of the three hooks are lost, the log ends with the head that GitLab has."""
    world = World()
    for told, (before, sha) in zip(hooks, (("", A), (A, B), (B, A)), strict=True):
        world.clock.advance(120)
        if sha == A and not before:
            world.gitlab.open(sha=A)
        else:
            world.gitlab.change(sha=sha)
        moment = world.gitlab.now().isoformat()
        if told:
            action, more = ("update", {"oldrev": before}) if before else ("open", {})
            await world.hook(
                bodies.merge_request(action, last_commit={"id": sha}, updated_at=moment, **more)
            )
        await world.looks(2)
    assert [f"mr.opened.42.7.{sha[:16]}" for sha in (A, B, A)] == world.subjects()
