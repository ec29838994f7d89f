"""Whether webhooks still come, seen from what the poller finds and no webhook told.

GitLab never sends a failed delivery again and may switch a hook off (reference: GitLab,
web_hook_service.rb, auto_disabling.rb), and nobody notices while the poller works. `webhook` notes
who sends, `poller` what it found first; what is wrong is a detail of `readyz`, a metric, a line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import msgspec
import structlog

from libs.common import metrics
from libs.common.clock import Clock
from libs.common.errors import AgentError
from libs.common.jetstream.leases import new_owner
from libs.common.kv import KeyValue
from services.ingest import body as read
from services.ingest import merge_requests, notes
from services.ingest.leased_polling import rest
from services.ingest.meaning import Translated

log = structlog.get_logger()
PREFIX = "hooks."
FLUSH_SECONDS = 30.0
SLACK = timedelta(seconds=5)
"""GitLab's clock and ours differ."""
MOST_NAMED = 5
Hook = tuple[int, str]
"""Project id, and the kind of hook: merge_request or note."""
WORDS: Mapping[str, str] = {merge_requests.KIND: "Merge request events", notes.KIND: "Comments"}
"""How the triggers are called in GitLab's settings."""
CAUSES = (
    "In GitLab, Settings > Webhooks > Edit shows recent deliveries. Disabled after failures: mend "
    "what it shows, then Test. 401: its secret token is not GITLAB_WEBHOOK_SECRET. No answer: its "
    "URL must reach PORT and end in /webhook. No deliveries: the trigger is off, or there is no "
    "hook. Without webhooks by intention: HOOK_WATCH_SECONDS=0"
)


class Missed(msgspec.Struct, frozen=True, kw_only=True):
    """An event that the poller found first."""

    path: str
    happened: datetime
    found: datetime


class Watch(msgspec.Struct):
    """Which hooks are waited for, and which are missing. Times by our clock."""

    patience: timedelta
    waiting: dict[Hook, Missed] = msgspec.field(default_factory=dict)
    missing: dict[Hook, Missed] = msgspec.field(default_factory=dict)

    def found(self, hook: Hook, missed: Missed) -> None:
        """The oldest one counts; the hook has had the most time for it."""
        if hook not in self.missing:
            self.waiting.setdefault(hook, missed)

    def judge(self, came: Mapping[Hook, datetime], now: datetime) -> list[Hook]:
        """Forget what came after all; the hooks that are missing from now on."""
        self.waiting = {h: m for h, m in self.waiting.items() if not _is_back(h, m, came)}
        self.missing = {h: m for h, m in self.missing.items() if not _is_back(h, m, came)}
        late = [h for h, m in self.waiting.items() if now - m.found >= self.patience]
        for hook in late:
            self.missing[hook] = self.waiting.pop(hook)
        return late

    def names(self) -> list[str]:
        return sorted(f"{m.path or h[0]} ({WORDS[h[1]]})" for h, m in self.missing.items())


def _is_back(hook: Hook, missed: Missed, came: Mapping[Hook, datetime]) -> bool:
    return hook in came and came[hook] >= missed.happened - SLACK


def hook_of(body: Any) -> Hook | None:
    """Which hook sent this body, whatever it means."""
    found = read.mapping(body)
    kind = read.text(found.get("object_kind"), 40)
    project_id = read.positive(read.mapping(found.get("project")).get("id"))
    return (project_id, kind) if project_id is not None and kind in WORDS else None


class HookWatch(Protocol):
    """What the webhook and the poller tell."""

    def came(self, body: Any) -> None:
        """An authentic hook."""
        ...

    def found(self, event: Translated, happened: datetime) -> None:
        """An event that the poller logged before any webhook did."""
        ...

    async def judge(self) -> None:
        """After each look."""
        ...


class Unwatched:
    """For those who do not poll, or have no webhooks."""

    def came(self, body: Any) -> None: ...

    def found(self, event: Translated, happened: datetime) -> None: ...

    async def judge(self) -> None: ...


class WatchedHooks:
    """Hooks come to any replica and one polls, so each tells the others through a bucket."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._clock = clock
        self._seconds = seconds
        self._started = clock.now()
        self._watch = Watch(timedelta(seconds=seconds))
        self._came: dict[Hook, datetime] = {}
        self._keys: KeyValue | None = None
        self._mine = PREFIX + new_owner().replace(".", "_")

    async def trouble(self) -> str | None:
        """A detail of `readyz`."""
        names = self._watch.names()
        return f"webhooks do not come: {_few(names)}. {CAUSES}" if names else None

    def came(self, body: Any) -> None:
        hook = hook_of(body)
        if hook is not None:
            self._came[hook] = self._clock.now()

    def found(self, event: Translated, happened: datetime) -> None:
        # What happened before we listened could not be told to us.
        if happened < self._started:
            return
        missed = Missed(path=event.project_path, happened=happened, found=self._clock.now())
        self._watch.found((event.event.project_id, event.kind), missed)

    async def judge(self) -> None:
        watch = self._watch
        if not watch.waiting and not watch.missing:
            return
        before = bool(watch.missing)
        late = watch.judge(await self._all_that_came(), self._clock.now())
        metrics.gauge("hooks_missing", len(watch.missing))
        if late:
            log.warning("webhooks do not come", hooks=_few(watch.names()), likely_causes=CAUSES)
        elif before and not watch.missing:
            log.info("webhooks come again")

    async def share(self, keys: KeyValue, stopping: asyncio.Event) -> None:
        """Tell the other replicas at intervals what came here, until `stopping`."""
        self._keys = keys
        told: dict[Hook, datetime] = {}
        while not stopping.is_set():
            self._forget_old()
            if self._came != told:
                try:
                    await self._tell(keys)
                    told = dict(self._came)
                except AgentError as error:
                    log.debug("not told what webhooks came", reason=str(error))
            await rest(min(FLUSH_SECONDS, self._seconds / 2), stopping)

    async def _tell(self, keys: KeyValue) -> None:
        entry = await keys.get(self._mine)
        rows = [(*hook, at.timestamp()) for hook, at in self._came.items()]
        value, ttl = msgspec.json.encode(rows), max(1, int(self._kept().total_seconds()))
        if entry is None:
            await keys.create(self._mine, value, ttl=ttl)
        else:
            await keys.update(self._mine, value, entry.revision, ttl=ttl)

    async def _all_that_came(self) -> dict[Hook, datetime]:
        every = dict(self._came)
        if self._keys is None:
            return every
        for key in await self._keys.keys():
            entry = await self._keys.get(key) if key.startswith(PREFIX) else None
            for hook, at in _told(entry.value) if entry is not None else ():
                every[hook] = max(every.get(hook, at), at)
        return every

    def _forget_old(self) -> None:
        oldest = self._clock.now() - self._kept()
        self._came = {hook: at for hook, at in self._came.items() if at >= oldest}

    def _kept(self) -> timedelta:
        return timedelta(seconds=self._seconds * 2 + 600)


def _told(value: bytes) -> list[tuple[Hook, datetime]]:
    try:
        rows = msgspec.json.decode(value, type=list[tuple[int, str, float]])
    except msgspec.MsgspecError:
        return []
    return [
        ((project_id, kind), datetime.fromtimestamp(at, tz=UTC)) for project_id, kind, at in rows
    ]


def _few(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
