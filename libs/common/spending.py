"""Budgets: how much was asked for in the last hour, kept in `DEDUP` (SR-43, SR-09).

Asked by the reviewer and the coder before they request what a person wants; both take from the same
budgets. Keys are `spent.<what>`, each a bounded list that is changed by compare-and-swap; an entry
counts once, by its task id. A crash between two keys may count a task that never came: budgets err
on the careful side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from libs.common.errors import Temporary
from libs.common.kv import KeyValue

HOUR = timedelta(hours=1)
TTL = 3600
MOST_KEPT = 2_000
"""Entries of one key; no limit of tasks may be above it."""
_TRIES = 20


class Budgets(msgspec.Struct, frozen=True, kw_only=True):
    """The most per hour; `place` is a merge request or an issue, the last two are per project."""

    place: int = 10
    user: int = 20
    project: int = 60
    everywhere: int = 200
    tokens: int = 50_000_000
    minutes: int = 600


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """One task; tokens and seconds only where use is counted."""

    task_id: str
    at: datetime
    tokens: int = 0
    seconds: float = 0.0


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """Whose budgets a task is taken from; `place` and `user` are texts of any letters."""

    place: str
    user: str
    project_id: int


class Spending:
    """The budgets of everybody; every call may raise `Temporary`."""

    def __init__(self, kv: KeyValue, budgets: Budgets) -> None:
        self._kv = kv
        self._budgets = budgets

    async def take(self, task_id: str, asker: Asker, now: datetime) -> str:
        """Count the task; the name of the budget that is used up, or an empty text.

        All are looked at before the first is touched, so that refusals eat no budget.
        """
        used_up = await self._used_up_by_work(asker.project_id, now)
        if used_up:
            return used_up
        limits = self._limits(asker)
        for what, (_, limit) in limits.items():
            if not _has_room(await self._read(what), task_id, limit, now):
                return limits[what][0]
        for what, (name, limit) in limits.items():
            if not await self._add(what, task_id, limit, now):
                return name
        return ""

    async def take_help(self, task_id: str, place: str, now: datetime) -> bool:
        """Whether help may be given; it costs nothing but a note, and has a budget of its own."""
        return await self._add(f"help.{_key(place)}", task_id, self._budgets.place, now)

    async def used(
        self, task_id: str, project_id: int, use: tuple[int, float], at: datetime
    ) -> None:
        """Remember what a task's session took, tokens and seconds; a second time is no more."""
        tokens, seconds = use

        def added(entries: list[Spent]) -> list[Spent] | None:
            if any(entry.task_id == task_id for entry in entries):
                return None
            mine = Spent(task_id=task_id, at=at, tokens=max(tokens, 0), seconds=max(seconds, 0.0))
            return [*(entry for entry in entries if at - entry.at < HOUR), mine]

        await self._change(f"use.{project_id}", added)

    async def told(self, what: str, task_id: str) -> bool:
        """Whether another task's person was told the same within the hour."""
        key = f"spent.told.{_key(what)}"
        if await self._kv.create(key, task_id.encode(), ttl=TTL) is not None:
            return False
        entry = await self._kv.get(key)
        return entry is not None and entry.value != task_id.encode()

    def _limits(self, asker: Asker) -> dict[str, tuple[str, int]]:
        """Key to name and limit."""
        budgets = self._budgets
        return {
            f"place.{_key(asker.place)}": ("merge request or issue", budgets.place),
            f"user.{_key(asker.user)}": ("person", budgets.user),
            f"project.{asker.project_id}": ("project", budgets.project),
            "all": ("everybody", budgets.everywhere),
        }

    async def _used_up_by_work(self, project_id: int, now: datetime) -> str:
        entries = [e for e in await self._read(f"use.{project_id}") if now - e.at < HOUR]
        if sum(entry.tokens for entry in entries) >= self._budgets.tokens:
            return "tokens of the project"
        if sum(entry.seconds for entry in entries) >= self._budgets.minutes * 60:
            return "minutes of the project"
        return ""

    async def _add(self, what: str, task_id: str, limit: int, now: datetime) -> bool:
        room = True

        def added(entries: list[Spent]) -> list[Spent] | None:
            nonlocal room
            room = _has_room(entries, task_id, limit, now)
            if not room or any(entry.task_id == task_id for entry in entries):
                return None
            kept = [entry for entry in entries if now - entry.at < HOUR]
            return [*kept, Spent(task_id=task_id, at=now)]

        await self._change(what, added)
        return room

    async def _read(self, what: str) -> list[Spent]:
        entry = await self._kv.get(f"spent.{what}")
        return _decoded(entry.value) if entry else []

    async def _change(self, what: str, change: Callable[[list[Spent]], list[Spent] | None]) -> None:
        key = f"spent.{what}"
        for _ in range(_TRIES):
            entry = await self._kv.get(key)
            changed = change(_decoded(entry.value) if entry else [])
            if changed is None:
                return
            value = msgspec.json.encode(changed[-MOST_KEPT:])
            if entry is None:
                done = await self._kv.create(key, value, ttl=TTL)
            else:
                done = await self._kv.update(key, value, entry.revision, ttl=TTL)
            if done is not None:
                return
        raise Temporary("others keep writing the same budget", delay=1)


def _has_room(entries: list[Spent], task_id: str, limit: int, now: datetime) -> bool:
    if any(entry.task_id == task_id for entry in entries):
        return True
    return sum(1 for entry in entries if now - entry.at < HOUR) < limit


def _decoded(value: bytes) -> list[Spent]:
    return msgspec.json.decode(value, type=list[Spent])


def _key(text: str) -> str:
    """Any text as a part of a key."""
    return hashlib.sha256(text.encode()).hexdigest()[:20]
