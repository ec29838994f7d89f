"""One GitLab over HTTP for coroutines: python-gitlab in worker threads, its failures translated.

The calls themselves are in `people`, `repositories`, `merge_requests` and `writing`; each builds
on this. Reads are tried again for a moment; a write is sent once, because one that timed out may
have been done.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Self, TypeVar
from urllib.parse import quote

import gitlab
import requests

from libs.common.gitlab.backend import CAUGHT, GuardedBackend, StrangeAnswer, translated
from libs.common.gitlab.budget import Budget
from libs.common.gitlab.errors import GitLabError, Invalid, RateLimited, TimedOut, Unavailable
from libs.common.gitlab.models import read
from libs.common.gitlab.server import Server

USER_AGENT = "gitlab-copilot-agent"
PER_PAGE = 100
MOST_ENTRIES = 20_000
"""Of one list; more is nothing that we could work with."""
PAUSES = (0.3, 1.0)
"""Seconds, with jitter, before a read is tried a second and a third time."""
LONGEST_PAUSE = 15.0

T = TypeVar("T")


class Connection:
    """Calls GitLab with one token; every call raises only `libs.common.gitlab.errors`.

    With a `budget`, reads wait for it. Close it with `aclose()` or use it as an async context
    manager.
    """

    def __init__(
        self,
        server: Server,
        *,
        workers: int = 4,
        pauses: tuple[float, ...] = PAUSES,
        budget: Budget | None = None,
    ) -> None:
        self._server = server.checked()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="gitlab")
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._pauses = pauses
        self._budget = budget

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._server!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Wait for calls in flight (they have time-outs) and close the connections."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)
        for session in self._sessions:
            session.close()

    async def _get(self, kind: type[T], path: str) -> T:
        return await self._read(lambda vendor: read(kind, _json(vendor.http_get(path))))

    async def _list(self, kind: type[T], path: str) -> list[T]:
        return await self._read(lambda vendor: [read(kind, raw) for raw in _pages(vendor, path)])

    async def _page(self, kind: type[T], path: str) -> list[T]:
        """The first page only."""
        return await self._read(lambda vendor: [read(kind, raw) for raw in _one_page(vendor, path)])

    async def _send(self, kind: type[T], verb: str, path: str, content: dict[str, Any]) -> T:
        def work(vendor: gitlab.Gitlab) -> T:
            return read(kind, _made(_json(_write(vendor, verb, path, content))))

        return await self._run(work, write=True)

    async def _act(self, verb: str, path: str) -> None:
        """A write that answers with nothing."""
        await self._run(lambda vendor: _bare(vendor, verb, path), write=True)

    async def _read(self, work: Callable[[gitlab.Gitlab], T]) -> T:
        for pause in self._pauses:
            await self._affordable()
            try:
                return await self._run(work)
            except (TimedOut, Unavailable) as error:
                if error.delay > LONGEST_PAUSE:
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  # jitter
        await self._affordable()
        return await self._run(work)

    async def _affordable(self) -> None:
        """Wait a moment for GitLab to take more requests; `RateLimited` when it takes longer."""
        wait = self._budget.wait() if self._budget else 0.0
        if wait > LONGEST_PAUSE:
            raise RateLimited(f"GitLab takes no more requests for {wait:.0f} s", delay=wait)
        if wait:
            await asyncio.sleep(wait * random.uniform(1.0, 1.1))  # noqa: S311  # jitter

    async def _run(self, work: Callable[[gitlab.Gitlab], T], *, write: bool = False) -> T:
        # The span around is part of the context.
        context = contextvars.copy_context()
        job = self._pool.submit(context.run, self._in_thread, work, write=write)
        answer = asyncio.wrap_future(job)
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            # A write in flight ends before its caller lets go of the lease; a read may linger.
            if not job.cancel() and write:
                await asyncio.wait([answer])
            answer.add_done_callback(_forget)
            raise

    def _in_thread(self, work: Callable[[gitlab.Gitlab], T], *, write: bool) -> T:
        try:
            return work(self._vendor())
        except (GitLabError, *CAUGHT) as error:
            failure = translated(error, write=write, server=self._server)
        # Raised here, so that no request with its headers hangs on the error as its context.
        raise failure

    def _vendor(self) -> gitlab.Gitlab:
        """This thread's own python-gitlab client."""
        found: gitlab.Gitlab | None = getattr(self._local, "vendor", None)
        if found is None:
            found = gitlab.Gitlab(
                self._server.url,
                private_token=self._server.token,
                ssl_verify=self._server.ca_bundle or True,
                user_agent=USER_AGENT,
                keep_base_url=True,
                retry_transient_errors=False,
                backend=functools.partial(GuardedBackend, self._server, budget=self._budget),
            )
            self._sessions.append(found.session)
            self._local.vendor = found
        return found


def quoted(name: str) -> str:
    """A name as one part of a path, slashes too."""
    return quote(name, safe="")


def _pages(vendor: gitlab.Gitlab, path: str) -> list[Any]:
    """Every entry of every page; a page may be short though more follow."""
    try:
        entries = vendor.http_list(path, iterator=True, per_page=PER_PAGE)
        found = list(islice(entries, MOST_ENTRIES + 1))
    except (LookupError, TypeError):
        raise StrangeAnswer("not a list") from None
    if len(found) > MOST_ENTRIES:
        raise Invalid(f"GitLab lists more than {MOST_ENTRIES} entries; that is too many for us")
    return found


def _one_page(vendor: gitlab.Gitlab, path: str) -> list[Any]:
    found = vendor.http_get(path)
    if not isinstance(found, list):
        raise StrangeAnswer("not a list")
    return found


def _bare(vendor: gitlab.Gitlab, verb: str, path: str) -> None:
    send = vendor.http_delete if verb == "delete" else vendor.http_post
    send(path)


def _write(vendor: gitlab.Gitlab, verb: str, path: str, content: dict[str, Any]) -> Any:
    send = vendor.http_post if verb == "post" else vendor.http_put
    return send(path, post_data=content)


def _json(answer: Any) -> Any:
    if isinstance(answer, requests.Response):
        raise StrangeAnswer("not JSON")  # a proxy's page, for one
    return answer


def _made(answer: Any) -> Any:
    """What was created; a text of quick actions only creates nothing (202)."""
    if isinstance(answer, dict) and "id" not in answer and "commands_changes" in answer:
        raise Invalid("GitLab took the text for quick actions and made no note of it")
    return answer


def _forget(answer: asyncio.Future[Any]) -> None:
    if not answer.cancelled():
        answer.exception()
