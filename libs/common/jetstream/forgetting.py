"""What the log keeps about one project of GitLab or Jira, and how it is taken out (SR-42).

Used by `gca forget`. Purging by subject is the only way: single messages cannot be deleted.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from libs.common import subjects
from libs.common.events.tasks import TaskRequested
from libs.common.jetstream import reading
from libs.common.jetstream.artifacts import Artifacts, Put
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.inspection import scan
from libs.common.jetstream.topology import DEAD_LETTERS, EVENTS


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What there is; `issues` are those of Jira whose tasks changed the project's code."""

    tails: tuple[str, ...]
    events: int = 0
    dead_letters: int = 0
    artifacts: tuple[Put, ...] = ()
    issues: tuple[str, ...] = ()

    @property
    def is_nothing(self) -> bool:
        return not (self.events or self.dead_letters or self.artifacts)


async def look(connection: Connection, scope: str) -> Kept:
    """Everything about `scope`, a project_id or a project key of Jira; raises `Temporary`."""
    issues = await _issues(connection, scope)
    tails = (f"{scope}.>", *(f"{key}.{number}.>" for key, number in issues))
    puts = {put.name.encode(): put for put in await Artifacts(connection).all()}
    events = letters = 0
    found: dict[str, Put] = {}
    for stream, subject in _subjects(tails):
        async for stored in reading.scan(connection, stream, subject):
            events += stream == EVENTS
            letters += stream == DEAD_LETTERS
            found |= {put.name: put for name, put in puts.items() if name in stored.body}
    return Kept(
        tails=tails,
        events=events,
        dead_letters=letters,
        artifacts=tuple(found.values()),
        issues=tuple(f"{key}-{number}" for key, number in issues),
    )


async def forget(connection: Connection, kept: Kept) -> None:
    """Take it out, and what came since; harmless when done twice. Raises `Temporary`."""
    for stream, subject in _subjects(kept.tails):
        await connection.read(f"STREAM.PURGE.{stream}", {"filter": subject})
    # After the events: what is left here for want of time is what the sweeper removes.
    artifacts = Artifacts(connection)
    for put in kept.artifacts:
        await artifacts.remove(put)


async def _issues(connection: Connection, scope: str) -> list[tuple[str, str]]:
    """Issues of Jira with a task in this project: their events hold its code."""
    found = {
        (record.event.scope, record.event.ref)
        async for record in scan(connection, "task.requested.>")
        if isinstance(record.event, TaskRequested) and str(record.event.project_id) == scope
    }
    return sorted(place for place in found if place[0] != scope)


def _subjects(tails: Iterable[str]) -> list[tuple[str, str]]:
    """Stream and filter of all that ends so: facts, tasks, retries and dead letters."""
    found: list[tuple[str, str]] = []
    for tail in tails:
        found += [(EVENTS, subject) for subject in subjects.events_about(tail)]
        found += [(DEAD_LETTERS, subject) for subject in subjects.letters_about(tail)]
    return found
