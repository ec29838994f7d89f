"""All of the log as the judge reads it: what was asked for, how it ended, what was published."""

from __future__ import annotations

import re

from libs.common import subjects
from libs.common.events.envelope import Recorded
from libs.common.events.tasks import Result, TaskPublished, TaskRequested
from libs.common.jetstream import reading
from libs.common.jetstream.artifacts import Artifacts
from libs.common.jetstream.packing import unpack
from libs.common.jetstream.reading import Stored
from libs.common.jetstream.topology import EVENTS
from tests.chaos.world import World

_BY_NOTE = re.compile(r"-n(\d+)(?:-p\d+)?$")
_PART = re.compile(r"-p\d+$")


class History:
    """All of the log, in order."""

    def __init__(self, stored: list[Stored], events: list[Recorded]) -> None:
        self.message_ids = {one.headers.get("Nats-Msg-Id", "") for one in stored}
        self.length = len(stored)
        self.requested: dict[str, Recorded] = {}
        self.ended: dict[str, Result] = {}
        self.published: dict[str, TaskPublished] = {}
        for record in events:
            task_id = subjects.last_token(record.subject)
            if isinstance(record.event, TaskRequested):
                self.requested[task_id] = record
            elif isinstance(record.event, TaskPublished):
                self.published[task_id] = record.event
            elif isinstance(record.event, Result):
                self.ended[task_id] = record.event

    def of_note(self, note_id: int) -> list[str]:
        """Tasks that this note asked for, each with the pin before it."""
        return [task_id for task_id in self.requested if note_of(task_id) == note_id]

    def first_seq(self, task_id: str) -> int:
        """Where the command was taken up first, with whatever pin."""
        return (self.requested.get(command_of(task_id)) or self.requested[task_id]).seq

    def request(self, task_id: str) -> TaskRequested:
        event = self.requested[task_id].event
        assert isinstance(event, TaskRequested)
        return event


def command_of(task_id: str) -> str:
    """The id of the command's first task, whatever head this one is pinned to."""
    return _PART.sub("", task_id)


def note_of(task_id: str) -> int | None:
    found = _BY_NOTE.search(task_id)
    return int(found[1]) if found else None


async def read_history(world: World) -> History:
    stored: list[Stored] = []
    seq = 1
    while some := await reading.batch(world.connection, EVENTS, {"seq": seq, "batch": 500}):
        stored += some
        seq = some[-1].seq + 1
    artifacts = Artifacts(world.connection)
    return History(stored, [await unpack(artifacts, one) for one in stored])
