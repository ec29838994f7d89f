"""What is seen of each call of GitLab: a span, a count, a duration. Used by `backend`.

By the route's template, never the path: paths have ids and names in them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import msgspec

from libs.common import metrics, telemetry

_API = re.compile(r".*/api/v4(?=/)")
_ID = re.compile(r"(?<=/)(?:[0-9]+|[0-9a-f]{40})(?=/|$)")
_PROJECT = re.compile(r"(?<=/projects/)[^/]+")
_NAME = re.compile(r"(/(?:branches|protected_branches|files)/)[^/]+")
_MADE = {"notes": "note", "discussions": "discussion", "draft_notes": "draft_note"}


class Seen:
    """One call under way; `answered` with its status, and for a write with the answer's body."""

    def __init__(self, span: telemetry.Span, method: str, route: str) -> None:
        self.status = 0
        self._span = span
        self._writes = method not in {"GET", "HEAD"}
        self._collection = route.removesuffix("/:id").rpartition("/")[2]

    def answered(self, status: int, body: bytes) -> None:
        self.status = status
        self._span.set({"http.response.status_code": status})
        if status >= 400:
            self._span.failed(str(status))
        elif self._writes and telemetry.is_recorded() and self._collection in _MADE:
            self._span.set({f"gitlab.{_MADE[self._collection]}.id": made(body)})


@contextmanager
def seen(method: str, url: str) -> Iterator[Seen]:
    """Around one request; one that gets no answer counts with status 0."""
    route = template(url)
    began = time.monotonic()
    with telemetry.span(
        f"{method} {route}",
        kind="client",
        attributes={
            "http.request.method": method,
            "url.template": route,
            "server.address": urlsplit(url).hostname or "",
        },
    ) as span:
        call = Seen(span, method, route)
        try:
            yield call
        finally:
            metrics.count("gitlab_calls", method=method, route=route, status=call.status)
            seconds = time.monotonic() - began
            metrics.observe("gitlab_call_duration", seconds, method=method, route=route)


def template(url: str) -> str:
    """`/projects/:id/merge_requests/:id/notes` of any address of the API."""
    path = _API.sub("", urlsplit(url).path)
    return _ID.sub(":id", _NAME.sub(r"\1:name", _PROJECT.sub(":id", path)))


def made(body: bytes) -> str | int | None:
    """The id of what a write created or changed."""
    try:
        return msgspec.json.decode(body, type=_Made).id
    except msgspec.MsgspecError:
        return None


class _Made(msgspec.Struct):
    id: int | str
