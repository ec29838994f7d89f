"""GitLab's REST API for coroutines: python-gitlab in worker threads, its failures translated.

Built in the wiring of the reviewer (read token) and the publisher (write token). Reads are tried
again for a moment; a write is sent once, because one that timed out may have been done.
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

import gitlab
import requests

from libs.common.gitlab.backend import CAUGHT, GuardedBackend, StrangeAnswer, translated
from libs.common.gitlab.errors import GitLabError, Invalid, TimedOut, Unavailable
from libs.common.gitlab.models import (
    Commit,
    Discussion,
    DraftNote,
    MergeRequest,
    Note,
    Project,
    User,
    Version,
    read,
)
from libs.common.gitlab.server import Server

USER_AGENT = "gitlab-copilot-agent"
PER_PAGE = 100
MOST_ENTRIES = 20_000
"""Of one list; more is nothing that we could work with."""
PAUSES = (0.3, 1.0)
"""Seconds, with jitter, before a read is tried a second and a third time."""
LONGEST_PAUSE = 15.0

T = TypeVar("T")
PositionJson = dict[str, Any]


class GitLabClient:
    """Calls GitLab with one token; every call raises only `libs.common.gitlab.errors`.

    Close it with `aclose()` or use it as an async context manager.
    """

    def __init__(
        self, server: Server, *, workers: int = 4, pauses: tuple[float, ...] = PAUSES
    ) -> None:
        self._server = server.checked()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="gitlab")
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._pauses = pauses
        self._me: User | None = None

    def __repr__(self) -> str:
        return f"GitLabClient({self._server!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Wait for calls in flight (they have time-outs) and close the connections."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)
        for session in self._sessions:
            session.close()

    async def current_user(self) -> User:
        """Whose token this is; asked once."""
        if self._me is None:
            self._me = await self._get(User, "/user")
        return self._me

    async def token_scopes(self) -> frozenset[str]:
        raw = await self._get(dict[str, Any], "/personal_access_tokens/self")
        return frozenset(map(str, raw.get("scopes", ())))

    async def project(self, project_id: int) -> Project:
        return await self._get(Project, f"/projects/{project_id}")

    async def merge_request(self, project_id: int, iid: int) -> MergeRequest:
        return await self._get(MergeRequest, _mr(project_id, iid))

    async def versions(self, project_id: int, iid: int) -> list[Version]:
        """The versions of the diff, newest first."""
        return await self._list(Version, _mr(project_id, iid, "versions"))

    async def commits(self, project_id: int, iid: int) -> list[Commit]:
        """The commits of the merge request, newest first."""
        return await self._list(Commit, _mr(project_id, iid, "commits"))

    async def notes(self, project_id: int, iid: int) -> list[Note]:
        return await self._list(Note, _mr(project_id, iid, "notes"))

    async def discussions(self, project_id: int, iid: int) -> list[Discussion]:
        return await self._list(Discussion, _mr(project_id, iid, "discussions"))

    async def draft_notes(self, project_id: int, iid: int) -> list[DraftNote]:
        """Our own drafts; GitLab shows nobody else's."""
        return await self._list(DraftNote, _mr(project_id, iid, "draft_notes"))

    async def create_note(self, project_id: int, iid: int, body: str) -> Note:
        return await self._send(Note, "post", _mr(project_id, iid, "notes"), {"body": body})

    async def update_note(self, project_id: int, iid: int, note_id: int, body: str) -> Note:
        path = _mr(project_id, iid, f"notes/{note_id}")
        return await self._send(Note, "put", path, {"body": body})

    async def create_discussion(
        self, project_id: int, iid: int, body: str, position: PositionJson | None
    ) -> Discussion:
        """A thread, at a position or on the merge request; `Invalid` when there is no such line."""
        content = {"body": body} | ({"position": position} if position else {})
        return await self._send(Discussion, "post", _mr(project_id, iid, "discussions"), content)

    async def create_draft_note(
        self, project_id: int, iid: int, body: str, position: PositionJson | None
    ) -> DraftNote:
        """A draft; GitLab takes lines that do not exist, see `DraftNote`."""
        content = {"note": body} | ({"position": position} if position else {})
        return await self._send(DraftNote, "post", _mr(project_id, iid, "draft_notes"), content)

    async def delete_draft_note(self, project_id: int, iid: int, draft_id: int) -> None:
        path = _mr(project_id, iid, f"draft_notes/{draft_id}")
        await self._run(lambda vendor: vendor.http_delete(path), write=True)

    async def publish_drafts(self, project_id: int, iid: int) -> None:
        """Publish all own drafts; those that GitLab cannot place vanish without an error."""
        path = _mr(project_id, iid, "draft_notes/bulk_publish")
        await self._run(lambda vendor: vendor.http_post(path), write=True)

    async def _get(self, kind: type[T], path: str) -> T:
        return await self._read(lambda vendor: read(kind, _json(vendor.http_get(path))))

    async def _list(self, kind: type[T], path: str) -> list[T]:
        return await self._read(lambda vendor: [read(kind, raw) for raw in _pages(vendor, path)])

    async def _send(self, kind: type[T], verb: str, path: str, content: dict[str, Any]) -> T:
        def work(vendor: gitlab.Gitlab) -> T:
            return read(kind, _made(_json(_write(vendor, verb, path, content))))

        return await self._run(work, write=True)

    async def _read(self, work: Callable[[gitlab.Gitlab], T]) -> T:
        for pause in self._pauses:
            try:
                return await self._run(work)
            except (TimedOut, Unavailable) as error:
                if error.delay > LONGEST_PAUSE:
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  # jitter
        return await self._run(work)

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
                backend=functools.partial(GuardedBackend, self._server),
            )
            self._sessions.append(found.session)
            self._local.vendor = found
        return found


def _mr(project_id: int, iid: int, rest: str = "") -> str:
    path = f"/projects/{project_id}/merge_requests/{iid}"
    return f"{path}/{rest}" if rest else path


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
