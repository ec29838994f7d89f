"""Jira's REST API for coroutines: Cloud v3 and Data Center v2, failures translated.

Built in the wiring of ingest (reads) and the publisher (writes). What is asked is bounded, names
its fields, and forwards the token of each page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable
from datetime import timedelta
from typing import Any, Self, TypeVar

import msgspec

from libs.common.jira import reading, wiki
from libs.common.jira.errors import Conflict, Invalid, NoTransition, Unavailable
from libs.common.jira.jql import checked_key, ready_query
from libs.common.jira.models import Change, Comment, Issue, Transition, User
from libs.common.jira.server import JiraServer
from libs.common.jira.transport import PAUSES, Transport

FIELDS = "summary,description,status,creator,created,updated,issuetype,labels,security"
PER_PAGE = 100
MOST_PAGES = 200
"""Of one list; more is nothing that we could work with, or a server that repeats itself."""
_NAMED = 8

T = TypeVar("T")
Asked = dict[str, str | int | None]


class JiraClient:
    """Calls Jira with one login; every call raises only `libs.common.jira.errors`.

    Close it with `aclose()` or use it as an async context manager.
    """

    def __init__(self, server: JiraServer, *, pauses: tuple[float, ...] = PAUSES) -> None:
        self._server = server
        self._http = Transport(server, pauses=pauses)
        self._cloud = server.dialect == "cloud"
        self._me: User | None = None

    def __repr__(self) -> str:
        return f"JiraClient({self._server!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def current_user(self) -> User:
        """Whose token this is; asked once."""
        if self._me is None:
            self._me = _read(reading.user, await self._http.read("/myself"))
        return self._me

    async def ready_issues(
        self, project_keys: Iterable[str], status: str, *, updated_within: timedelta | None = None
    ) -> AsyncIterator[Issue]:
        """The issues of these projects in this status, oldest first, each once.

        The search follows a change with a delay: look at the issue before acting on it.
        """
        query = ready_query(project_keys, status, updated_within=updated_within)
        pages = self._found_by_token(query) if self._cloud else self._found_by_offset(query)
        seen: set[str] = set()
        async for raw in pages:
            issue = _read(reading.issue, raw, self._server.url)
            if issue.key not in seen:
                seen.add(issue.key)
                yield issue

    async def issue(self, issue_key: str) -> Issue:
        raw = await self._http.read(_path(issue_key), {"fields": FIELDS})
        return _read(reading.issue, raw, self._server.url)

    async def changelog(self, issue_key: str) -> list[Change]:
        """The whole history of an issue, in Jira's order."""
        if not self._cloud:
            params = {"fields": "status", "expand": "changelog"}
            return _read(reading.changes, await self._http.read(_path(issue_key), params))
        found = self._listed(_path(issue_key, "changelog"), lambda page: page.values)
        return [_read(reading.change, raw) async for raw in found]

    async def transitions(self, issue_key: str) -> list[Transition]:
        """The ways out of where the issue is now, as far as our user may take them."""
        raw = await self._http.read(_path(issue_key, "transitions"))
        return _read(reading.transitions, raw)

    async def transition(
        self, issue_key: str, status: str, *, only_from: Collection[str] = ()
    ) -> bool:
        """Move the issue to the status of that name; False when it is there already.

        Nor is it moved when it stands in none of `only_from`, where that is given: a person has put
        it elsewhere meanwhile.

        Two calls. The way is looked up each time, by the status it leads to, else by its own name:
        ids belong to one workflow. `NoTransition` when there is none, or Jira refuses it.
        """
        issue, ways = await self._standing(issue_key)
        if _same(issue.status, status):
            return False
        if only_from and not any(_same(issue.status, name) for name in only_from):
            return False
        way = chosen(ways, status)
        if way is None:
            raise NoTransition(_no_way(issue, ways, status))
        content = {"transition": {"id": way.id}}
        try:
            await self._http.write(_path(issue_key, "transitions"), content)
        except (Conflict, Invalid) as error:
            return await self._refused(issue_key, status, error)
        return True

    async def comments(self, issue_key: str) -> list[Comment]:
        """All comments, oldest first."""
        found = self._listed(_path(issue_key, "comment"), lambda page: page.comments)
        return [_read(reading.comment, raw) async for raw in found]

    async def add_comment(self, issue_key: str, document: dict[str, Any]) -> Comment:
        """Add a comment, given as `adf_writing.from_text` makes it, in either dialect.

        Sent once: after a failure with `maybe_done`, look at `comments` first.
        """
        body = document if self._cloud else wiki.from_adf(document)
        raw = await self._http.write(_path(issue_key, "comment"), {"body": body})
        return _read(reading.comment, raw, write=True)

    async def _standing(self, issue_key: str) -> tuple[Issue, list[Transition]]:
        params = {"fields": "status", "expand": "transitions"}
        raw = await self._http.read(_path(issue_key), params)
        return _read(reading.issue, raw, self._server.url), _read(reading.transitions, raw)

    async def _refused(self, issue_key: str, status: str, error: Conflict | Invalid) -> bool:
        """False when somebody else moved it there meanwhile; else why it does not go."""
        issue, _ = await self._standing(issue_key)
        if _same(issue.status, status):
            return False
        if isinstance(error, Conflict):
            raise Unavailable(f"{issue_key} is being changed by somebody else: {error}", status=409)
        text = f"{issue_key} does not go from {issue.status!r} to {status!r}: {error}"
        raise NoTransition(text, status=error.status)

    async def _found_by_token(self, query: str) -> AsyncIterator[Any]:
        token: str | None = None
        for _ in range(MOST_PAGES):
            params: Asked = {"jql": query, "fields": FIELDS, "maxResults": PER_PAGE}
            asked = params | {"nextPageToken": token}
            page = _read(reading.page, await self._http.read("/search/jql", asked))
            for found in page.issues:
                yield found
            if page.is_last or not page.next_page_token:
                return
            if page.next_page_token == token:
                raise Unavailable("Jira gives the same page of a search again and again")
            token = page.next_page_token
        raise Unavailable(f"Jira's search has no end after {MOST_PAGES} pages")

    def _found_by_offset(self, query: str) -> AsyncIterator[Any]:
        params: Asked = {"jql": query, "fields": FIELDS}
        return self._listed("/search", lambda page: page.issues, params)

    async def _listed(
        self,
        path: str,
        entries: Callable[[reading.Page], list[Any]],
        params: Asked | None = None,
    ) -> AsyncIterator[Any]:
        """Every entry of every page, counted by `startAt`."""
        start = 0
        for _ in range(MOST_PAGES):
            asked = (params or {}) | {"startAt": start, "maxResults": PER_PAGE}
            page = _read(reading.page, await self._http.read(path, asked))
            found = entries(page)
            for entry in found:
                yield entry
            start += len(found)
            if not found or page.is_last or (page.total is not None and start >= page.total):
                return
        raise Unavailable(f"Jira's list has no end after {MOST_PAGES} pages")


def chosen(ways: list[Transition], status: str) -> Transition | None:
    """The way to a status: one that leads there before one that is called so, no screen first."""
    fitting = [way for way in ways if _same(way.to_status, status)]
    fitting = fitting or [way for way in ways if _same(way.name, status)]
    return min(fitting, key=lambda way: way.has_screen, default=None)


def _no_way(issue: Issue, ways: list[Transition], status: str) -> str:
    offered = ", ".join(repr(way.to_status or way.name) for way in ways[:_NAMED]) or "no way at all"
    return (
        f"{issue.key} is in {issue.status!r}, and its workflow offers our user {offered}, not "
        f"{status!r}; change the workflow or JIRA_IN_PROGRESS_STATUS, JIRA_IN_REVIEW_STATUS"
    )


def _same(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


def _path(issue_key: str, rest: str = "") -> str:
    path = f"/issue/{checked_key(issue_key)}"
    return f"{path}/{rest}" if rest else path


def _read(make: Callable[..., T], *given: Any, write: bool = False) -> T:
    try:
        return make(*given)
    except msgspec.ValidationError:
        text = "Jira's answer makes no sense (another shape); check JIRA_URL"
    raise Unavailable(text, maybe_done=write)
