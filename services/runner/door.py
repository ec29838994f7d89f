"""The task door, from the Job's side: fetch the spec, hand in the one result.

Called by both steps. Every retry is jittered and ends at the given deadline.
"""

from __future__ import annotations

import asyncio
import io
import random
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import msgspec

from libs.common import telemetry
from libs.common.clock import Clock
from libs.common.errors import AgentError, cut
from libs.common.events.tasks import (
    Answered,
    ChangesProposed,
    Echoed,
    NothingToDo,
    ReviewDone,
    TaskFailed,
    TaskRequested,
)

_T = TypeVar("_T")
ATTEMPT_SECONDS = 30.0
LONGEST_PAUSE = 15.0
FETCH_SECONDS = 120.0
"""Longest to ask for the spec: a Job that cannot get it holds a place for nothing."""
AnyResult = ReviewDone | ChangesProposed | Answered | NothingToDo | TaskFailed | Echoed


class NoTaskDoor(AgentError):
    """The task door cannot be reached, or does not know this Job."""


class ResultRefused(AgentError):
    """The task door will not take this result, now or later; someone else ended the task."""


class TaskDoor:
    """One task's address and token; nothing else is reachable with them."""

    def __init__(self, url: str, token: str, *, clock: Clock, ca_bundle: str = "") -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}
        self._clock = clock
        self._ssl = ssl.create_default_context(cafile=ca_bundle) if ca_bundle else True

    async def fetch(self, deadline: float) -> TaskRequested:
        """The spec of this task; raises `NoTaskDoor`."""
        soon = self._clock.now().timestamp() + FETCH_SECONDS
        with telemetry.span("fetch task", kind="client"):
            body = await self._until(min(deadline, soon), self._get)
        try:
            return msgspec.json.decode(body, type=TaskRequested)
        except msgspec.MsgspecError as error:
            raise NoTaskDoor(f"the spec cannot be read: {cut(str(error))}") from None

    async def hand_in(self, result: AnyResult, deadline: float) -> None:
        """Post the result; raises `ResultRefused` or, past the deadline, `NoTaskDoor`."""
        body = msgspec.json.encode(result)
        with telemetry.span("hand in result", kind="client"):
            await self._until(deadline, lambda: self._post(body))

    async def _until(self, deadline: float, attempt: Callable[[], Awaitable[_T]]) -> _T:
        pause = 0.1
        while True:
            try:
                async with asyncio.timeout(ATTEMPT_SECONDS):
                    return await attempt()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                why = cut(f"{type(error).__name__}: {error}")
            pause = min(pause * 2, LONGEST_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311  jitter
            if self._clock.now().timestamp() + pause >= deadline:
                raise NoTaskDoor(f"no contact with the task door: {why}") from None
            await asyncio.sleep(pause)

    async def _get(self) -> bytes:
        async with (
            self._client() as client,
            client.get(self._url, ssl=self._ssl, allow_redirects=False) as answer,
        ):
            try:
                _check(answer.status, "")
            except ResultRefused as refused:
                raise NoTaskDoor(f"the task door does not give us this task: {refused}") from None
            answer.raise_for_status()
            return await answer.read()

    async def _post(self, body: bytes) -> None:
        address = f"{self._url}/result"
        async with (
            self._client() as client,
            client.post(
                address,
                data=io.BytesIO(body),  # plain bytes over 1 MB block the loop, aiohttp warns
                headers={"Content-Type": "application/json"},
                ssl=self._ssl,
                allow_redirects=False,
            ) as answer,
        ):
            text = (await answer.content.read(2000)).decode(errors="replace")
            _check(answer.status, cut(text))
            answer.raise_for_status()

    def _client(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(headers=self._headers | {"traceparent": telemetry.current()})


def _check(status: int, explanation: str) -> None:
    """Refuse what trying again will not mend; a redirect would carry the token elsewhere."""
    if 300 <= status < 400:
        raise NoTaskDoor(f"the task door answered with a redirect: HTTP {status}")
    if 400 <= status < 500 and status not in {408, 425, 429}:
        raise ResultRefused(f"HTTP {status}: {explanation}")
