"""A mirror of the API's objects of one kind: list once, then watch. Used by `launcher`.

One connection for all Jobs and one for their pods, however many there are. A watch that ends goes
on where it was; one that is too old (410), and now and then any, begins anew with a list. While the
API server is away the mirror says so instead of showing what may be long past.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, NamedTuple, Protocol

import structlog

from libs.common.errors import AgentError, Permanent, Temporary
from libs.common.launching.kubernetes.client import Change, Listing, Resource
from libs.common.launching.kubernetes.errors import Gone

Object = dict[str, Any]

STALE_SECONDS = 15.0
"""How long a mirror without a connection is still believed."""
FIRST_SECONDS = 30.0
"""How long a reader waits for the first list, and before it for the library's import."""
RESYNC_SECONDS = 900.0
RETRY_SECONDS = (0.5, 5.0)
_GONE_SECONDS = 600.0
log = structlog.get_logger()


class Reads(Protocol):
    """The reading half of the client."""

    async def list(self, resource: Resource, selector: str) -> Listing: ...

    def watch(
        self, resource: Resource, selector: str, version: str
    ) -> AsyncIterator[Change | None]: ...


class Heard(NamedTuple):
    """Called with each object that is new or changed, and with each that is gone."""

    changed: Callable[[Object], None] = lambda _: None
    went: Callable[[Object], None] = lambda _: None


class Mirror:
    """Objects by uid, as of the last change heard of; `run` keeps it true until cancelled.

    `resync` is seconds after which it lists anew, `stale` those that it is believed when cut off.
    """

    def __init__(
        self,
        reads: Reads,
        resource: Resource,
        selector: str,
        *,
        heard: Heard | None = None,
        resync: float = RESYNC_SECONDS,
        stale: float = STALE_SECONDS,
    ) -> None:
        self._reads = reads
        self._resource: Resource = resource
        self._selector = selector
        self._heard = heard or Heard()
        self._resync, self._stale = resync, stale
        self._objects: dict[str, Object] = {}
        self._own: dict[str, Object] = {}
        """What we made while a list was on its way, which may not have it."""
        self._removed: dict[str, float] = {}
        """Removed by us, and when: late news of them mean nothing."""
        self._version = ""
        self._listed_at = 0.0
        self._down_since: float | None = None
        self._why: AgentError | None = None
        self._looked = asyncio.Event()
        self._complete = False
        self._failures = 0

    @property
    def is_listed(self) -> bool:
        """Whether there was a first list."""
        return self._complete

    async def objects(self) -> list[Object]:
        """All of them; raises `Temporary` before the first list and when cut off for long."""
        if not self._looked.is_set():
            try:
                async with asyncio.timeout(FIRST_SECONDS):
                    await self._looked.wait()
            except TimeoutError:
                raise Temporary(f"Kubernetes has not listed its {self._resource} yet") from None
        trouble = self.trouble()
        if trouble is not None:
            raise trouble
        return list(self._objects.values())

    def trouble(self) -> Temporary | None:
        """Why the mirror is not to be believed right now."""
        if self._complete and (self._down_since is None or _now() - self._down_since < self._stale):
            return None
        return Temporary(str(self._why or f"Kubernetes has not listed its {self._resource} yet"))

    def known(self) -> list[Object]:
        """All that are known, however old the knowledge is."""
        return list(self._objects.values())

    def named(self, name: str) -> list[Object]:
        """Those of that name that are known, however old the knowledge is."""
        return [each for each in self._objects.values() if each["metadata"]["name"] == name]

    def put(self, found: Object) -> None:
        """We made or read this one ourselves."""
        uid = found["metadata"]["uid"]
        self._own[uid] = self._objects[uid] = found

    def remove(self, uid: str) -> None:
        """We removed this one ourselves."""
        self._removed[uid] = _now()
        self._own.pop(uid, None)
        self._objects.pop(uid, None)

    async def run(self) -> None:
        while True:
            try:
                if not self._version or _now() - self._listed_at > self._resync:
                    await self._list()
                await self._watch()
            except Gone:
                self._version = ""
                await asyncio.sleep(_jittered(self._failures and RETRY_SECONDS[0]))
            except AgentError as error:
                self._failed(error)
                await self._pause()
            except Exception as error:
                log.exception("watching failed, it begins anew", what=self._resource)
                self._version = ""
                self._failed(Temporary(f"cannot follow Kubernetes' {self._resource}: {error!r}"))
                await self._pause()

    async def _pause(self) -> None:
        least, most = RETRY_SECONDS
        await asyncio.sleep(_jittered(min(most, least * 2 ** min(self._failures, 6))))

    async def _list(self) -> None:
        self._own.clear()
        found, version = await self._reads.list(self._resource, self._selector)
        listed = {each["metadata"]["uid"]: each for each in found}
        self._removed = {u: at for u, at in self._removed.items() if _now() - at < _GONE_SECONDS}
        news = {uid: each for uid, each in listed.items() if uid not in self._removed}
        gone = [each for uid, each in self._objects.items() if uid not in {**news, **self._own}]
        self._objects = self._own | news
        self._version, self._listed_at, self._complete = version, _now(), True
        self._up()
        self._looked.set()
        for each in gone:
            self._heard.went(each)
        for each in news.values():
            self._heard.changed(each)

    async def _watch(self) -> None:
        began = _now()
        changes = self._reads.watch(self._resource, self._selector, self._version)
        async with aclosing(changes) as stream:  # type: ignore[type-var]  # it is a generator
            async for change in stream:
                self._up()
                if change is not None:
                    self._took(change)
        if _now() - began < 1:
            # A server that ends every watch at once must not be asked without a pause.
            await asyncio.sleep(_jittered(RETRY_SECONDS[0]))

    def _took(self, change: Change) -> None:
        meta = change.found.get("metadata", {})
        self._version = meta.get("resourceVersion") or self._version
        uid = meta.get("uid", "")
        if change.kind == "DELETED":
            self._own.pop(uid, None)
            if self._objects.pop(uid, None) is not None or uid in self._removed:
                self._heard.went(change.found)
        elif change.kind in {"ADDED", "MODIFIED"} and uid not in self._removed:
            self._objects[uid] = change.found
            self._heard.changed(change.found)

    def _up(self) -> None:
        if self._down_since is not None:
            log.info("kubernetes is heard again", what=self._resource)
        self._down_since, self._why, self._failures = None, None, 0

    def _failed(self, error: AgentError) -> None:
        if self._why is None or str(self._why) != str(error):
            log.warning("kubernetes cannot be heard", what=self._resource, why=str(error))
        self._failures += 1
        self._why = error
        self._down_since = self._down_since if self._down_since is not None else _now()
        if isinstance(error, Permanent):
            self._version = ""
        self._looked.set()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311  spreads load, guards nothing
