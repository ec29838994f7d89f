"""Tells a person that something of theirs ended as a dead letter: one short note, once.

A loop of its own, run by `wiring`, and no durable on DEAD_LETTERS: the consumer loop hands on
decoded events, which a letter need not hold, without the headers that make it a letter; and it
buries what fails, so that it would feed itself. How far it came is a time in `WATERMARKS`. It goes
over the newest day only, and what is told already is known by its marker, so a lost watermark or
a second replica costs some reading and no second note.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
import structlog

from libs.common import metrics
from libs.common.errors import AgentError, Temporary
from libs.common.gitlab.errors import NotFound
from libs.common.jetstream.letters import DeadLetter, Fate, read
from libs.common.jetstream.reading import Stored
from libs.common.jira.errors import NotFound as NoIssue
from libs.common.kv import KeyValue
from libs.common.subjects import task_published
from services.publisher.markers import Marker, read_markers
from services.publisher.mishap_words import MISHAP, Concern, body, concern, document
from services.publisher.ports import Ports

OLDEST = timedelta(hours=24)
LOOK_SECONDS = 5.0
LONGEST_PAUSE = 300.0
ENOUGH = 3
"""Failures in a row after which the peer counts as away, and the look as over."""
WATERMARK = "letters.told"
log = structlog.get_logger()


class Letters(Protocol):
    """The dead letters; calls may raise `Temporary` (peer `nats`)."""

    def since(self, moment: datetime) -> AsyncIterator[Stored]: ...

    async def fate(self, letter: DeadLetter) -> Fate | None: ...


class PutOff(msgspec.Struct, frozen=True):
    """A letter that could not be told of for now, and when its turn comes again."""

    letter: DeadLetter
    tries: int
    again: datetime


class Mishaps:
    """Goes through new dead letters again and again; those that were put off are kept in memory.

    The watermark stays before the oldest of them, so that a restart finds them again.
    """

    def __init__(self, letters: Letters, watermarks: KeyValue, ports: Ports) -> None:
        self._letters = letters
        self._watermarks = watermarks
        self._ports = ports
        self._done: tuple[datetime, int] | None = None
        self._waiting: dict[int, PutOff] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                await self.look()
            except AgentError as error:
                # NATS or GitLab is away, which others complain about; nothing is forgotten.
                log.info("dead letters are told later", why=str(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), LOOK_SECONDS)

    async def look(self) -> None:
        """Tell of every new letter, and of those whose turn comes again.

        One that cannot be told of now is put off and keeps no other back. Several in a row mean
        that GitLab or Jira is away: that is raised and ends the look, as `Temporary` of NATS does.
        """
        now = self._ports.clock.now()
        oldest = now - OLDEST
        start = max(await self._told_until() or oldest, oldest)
        self._waiting = {
            number: one for number, one in self._waiting.items() if one.letter.time >= oldest
        }
        due = [one.letter for one in self._waiting.values() if one.again <= now]
        failed: list[Temporary] = []
        async for stored in self._letters.since(start):
            letter = read(stored)
            if self._done is None or (letter.time, letter.id) > self._done:
                await self._take(letter, now, failed)
        for letter in due:
            await self._take(letter, now, failed)

    async def _take(self, letter: DeadLetter, now: datetime, failed: list[Temporary]) -> None:
        """Tell of it or put it off; `failed` are the newest failures in a row."""
        try:
            await self._tell(letter)
        except Temporary as error:
            if error.peer == "nats":
                raise
            failed.append(error)
            self._put_off(letter, now, str(error))
        else:
            failed.clear()
            self._waiting.pop(letter.id, None)
        await self._remember(letter)
        if len(failed) >= ENOUGH:
            raise failed[-1]

    def _put_off(self, letter: DeadLetter, now: datetime, why: str) -> None:
        before = self._waiting.get(letter.id)
        tries = before.tries + 1 if before else 1
        pause = min(LOOK_SECONDS * 2**tries, LONGEST_PAUSE)
        self._waiting[letter.id] = PutOff(letter, tries, now + timedelta(seconds=pause))
        log.info("a dead letter is told later", letter=letter.id, tries=tries, why=why)

    async def _tell(self, letter: DeadLetter) -> None:
        found = concern(letter)
        if found is None or await self._letters.fate(letter) is not None:
            return
        try:
            async with self._ports.alone_at(found.scope, found.ref) as ports:
                written = await _told(letter, found, ports)
        except Temporary:
            raise
        except AgentError as error:
            metrics.count("effects_missed", what="dead_letter", reason=type(error).__name__)
            log.warning("effect missed", what="dead_letter", letter=letter.id, why=str(error))
            return
        if written:
            log.info(
                "audit",
                what="jira_comment" if found.issue_key else "note",
                id=written,
                scope=found.scope,
                ref=found.ref,
                letter=letter.id,
                rule="word of a dead letter",
            )

    async def _told_until(self) -> datetime | None:
        if self._done is not None:
            return self._done[0]
        entry = await self._watermarks.get(WATERMARK)
        return datetime.fromisoformat(entry.value.decode()) if entry else None

    async def _remember(self, letter: DeadLetter) -> None:
        """Up to here all are told or put off. Never backwards, whatever another replica wrote."""
        here = (letter.time, letter.id)
        self._done = max(self._done or here, here)
        times = [one.letter.time for one in self._waiting.values()]
        until = min([self._done[0], *times])
        value = until.isoformat().encode()
        entry = await self._watermarks.get(WATERMARK)
        if entry is None:
            await self._watermarks.create(WATERMARK, value)
        elif datetime.fromisoformat(entry.value.decode()) < until:
            await self._watermarks.update(WATERMARK, value, entry.revision)


async def _told(letter: DeadLetter, found: Concern, ports: Ports) -> str:
    """Id of the note or comment that was written now; empty when there is nothing to say."""
    if found.task_id:
        published = task_published(found.scope, found.ref, found.task_id)
        if await ports.log.last(published) is not None:
            return ""
    if found.issue_key:
        return await _comment(letter, found, ports)
    return await _note(letter, found, ports)


async def _note(letter: DeadLetter, found: Concern, ports: Ports) -> str:
    project_id, iid = int(found.scope), int(found.ref)
    me = await ports.gitlab.current_user()
    try:
        if found.head:
            mr = await ports.gitlab.merge_request(project_id, iid)
            if mr.state != "opened" or not mr.sha.startswith(found.head):
                return ""
        listed = await ports.gitlab.discussions(project_id, iid)
    except NotFound:
        return ""
    mark = Marker(found.name, MISHAP)
    ours = (n for one in listed for n in one.notes if n.author_id == me.id)
    if any(mark in read_markers(one.body) for one in ours):
        return ""
    return str((await ports.gitlab.create_note(project_id, iid, body(letter, found))).id)


async def _comment(letter: DeadLetter, found: Concern, ports: Ports) -> str:
    jira = ports.jira
    if jira is None:
        return ""
    me = await jira.current_user()
    try:
        listed = await jira.comments(found.issue_key)
    except NoIssue:
        return ""
    named = re.compile(rf"\b{re.escape(found.name)}\b")
    if any(one.author.id == me.id and named.search(one.body) for one in listed):
        return ""
    return (await jira.add_comment(found.issue_key, document(letter, found))).id
