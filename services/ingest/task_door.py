"""The task door: a Job fetches its spec and hands in its one result, and reaches nothing else.

On a port of its own. A token is good for one task; the rest of NATS stays out of the Job (SR-17).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from collections.abc import AsyncIterator
from typing import Protocol

import msgspec
import structlog
from aiohttp import web

from libs.common import metrics, telemetry
from libs.common.clock import Clock
from libs.common.errors import AgentError, Permanent, Temporary
from libs.common.events.envelope import NewEvent, Recorded, encode
from libs.common.events.log import Created
from libs.common.events.tasks import TaskRequested
from libs.common.launching import token as task_token
from libs.common.launching.ended import count_end
from services.ingest import patches, task_subject
from services.ingest.patches import Artifacts
from services.ingest.task_result import LARGEST, Accepted, Unfit, fitting

log = structlog.get_logger()
SOURCE = "ingest/task-door"
READ_SECONDS = 5.0
CREATE_SECONDS = 20.0
"""Longer, because a large result goes to the object store first."""
BODY_SECONDS = 30.0
_TOKEN = re.compile(r"[Bb]earer +([0-9]{1,12}\.[0-9a-f]{64})")


class Log(Protocol):
    """The calls of the event log that the task door needs."""

    async def last(self, subject: str) -> Recorded | None: ...

    async def create(self, new: NewEvent) -> Created: ...


class _Refused(Exception):
    """The answer to a request that goes no further."""

    def __init__(self, status: int, reason: str, *, retry_after: int = 0) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after


class _Task(msgspec.Struct, frozen=True):
    """A task that was found in the log."""

    record: Recorded
    request: TaskRequested


class TaskDoor:
    """The handlers of the task door's port; `secret` is what tokens are minted with."""

    def __init__(self, *, secret: str, log: Log, artifacts: Artifacts, clock: Clock) -> None:
        self._secret = secret
        self._log = log
        self._artifacts = artifacts
        self._clock = clock

    def application(self) -> web.Application:
        app = web.Application(client_max_size=max(LARGEST.values()))
        app.router.add_get("/tasks/{task_id}", self.get)
        app.router.add_post("/tasks/{task_id}/result", self.post)
        return app

    async def get(self, request: web.Request) -> web.Response:
        return await self._answered(request, "spec")

    async def post(self, request: web.Request) -> web.Response:
        return await self._answered(request, "result")

    async def _answered(self, request: web.Request, what: str) -> web.Response:
        task_id = request.match_info["task_id"]
        try:
            task = await self._task(request, task_id)
        except _Refused as refused:
            return _told(what, task_id, refused)
        route = "/tasks/{task_id}" + ("/result" if what == "result" else "")
        with telemetry.span(
            f"{request.method} {route}",
            kind="server",
            parent=_parent(request, task),
            attributes={"http.request.method": request.method, "http.route": route},
        ) as span:
            try:
                response = await (self._result(request, task) if what == "result" else _spec(task))
            except _Refused as refused:
                span.failed(str(refused.status))
                response = _told(what, task_id, refused)
            else:
                _told(what, task_id, response)
            span.set({"http.response.status_code": response.status, "gca.task_id": task_id})
            return response

    async def _task(self, request: web.Request, task_id: str) -> _Task:
        """The task, once its token is proven; nothing is read before that."""
        match = _TOKEN.fullmatch(request.headers.get("Authorization", ""))
        subject = task_subject.requested(task_id)
        if match is None or subject is None:
            raise _Refused(401, "there is no token for this task")
        if not task_token.verify(self._secret, task_id, match[1], self._clock.now()):
            raise _Refused(401, "the token is not good for this task, or not any more")
        async with _log_within(READ_SECONDS):
            record = await self._log.last(subject)
        if record is None or not isinstance(record.event, TaskRequested):
            raise _Refused(404, "the log does not have this task")
        return _Task(record, record.event)

    async def _result(self, request: web.Request, task: _Task) -> web.Response:
        body = await _read(request, LARGEST[task.request.kind])
        try:
            result = fitting(body, task.request)
        except Unfit as error:
            raise _Refused(422, str(error)) from None
        async with _log_within(CREATE_SECONDS):
            ended, first = await self._end(task, result)
        if first:
            count_end(task.request.kind, result)
        elif not patches.is_same(result, ended.event):
            raise _Refused(409, "the task has ended already, with another result")
        answer = {"task_id": task.request.task_id}
        return web.json_response(answer, status=201 if first else 200)

    async def _end(self, task: _Task, result: Accepted) -> tuple[Recorded, bool]:
        """The task's one end, and whether it is this result that became it."""
        task_id = task.request.task_id
        subject = task_subject.result(task_id)
        assert subject is not None  # noqa: S101  # the same id gave the request's subject
        if patches.is_large(result):
            # A Job that goes on sending must not fill the store for a task that has ended.
            ended = await self._log.last(subject)
            if ended is not None:
                return ended, False
            result = await patches.stored(result, self._artifacts)
        new = NewEvent(
            subject=subject,
            event=result,
            message_id=f"{task_id}-result",
            source=SOURCE,
            time=self._clock.now(),
            causation_id=task.record.message_id,
            traceparent=telemetry.current(),
        )
        created = await self._log.create(new)
        return created.record, created.first


async def _spec(task: _Task) -> web.Response:
    return web.Response(body=encode(task.request), content_type="application/json")


def _parent(request: web.Request, task: _Task) -> str:
    """The Job's own span when it is of the task's trace; a Job has no say in another trace."""
    given, known = request.headers.get("traceparent", ""), task.record.traceparent
    return given if telemetry.trace_id(given) == telemetry.trace_id(known) else known


def _told(what: str, task_id: str, answer: web.Response | _Refused) -> web.Response:
    """Count and log what the Job is told."""
    reason = str(answer) if isinstance(answer, _Refused) else ""
    response = _refusal(answer) if isinstance(answer, _Refused) else answer
    metrics.count("task_door_requests", what=what, status=response.status)
    level = log.info if response.status < 400 else log.warning
    level(
        "task door answered",
        what=what,
        status=response.status,
        task_id=task_id[: task_subject.LONGEST],
        reason=reason,
    )
    return response


def _refusal(refused: _Refused) -> web.Response:
    again = {"Retry-After": str(refused.retry_after)} if refused.retry_after else None
    return web.json_response({"error": str(refused)}, status=refused.status, headers=again)


@contextlib.asynccontextmanager
async def _log_within(seconds: float) -> AsyncIterator[None]:
    """A log that is away or slow becomes a 503, one that will never take this a 422."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise _Refused(503, "the event log did not answer in time", retry_after=5) from None
    except Temporary as error:
        raise _Refused(503, str(error), retry_after=max(1, math.ceil(error.delay))) from None
    except Permanent as error:
        raise _Refused(422, str(error)) from None
    except AgentError as error:
        raise _Refused(503, str(error), retry_after=5) from None


async def _read(request: web.Request, most: int) -> bytes:
    """The body; refuses it as soon as it is known to be over `most` bytes."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while len(body) <= most and (request.content_length or 0) <= most:
                chunk = await request.content.readany()
                if not chunk:
                    return bytes(body)
                body += chunk
    except TimeoutError:
        raise _Refused(408, "the result came too slowly") from None
    except (web.RequestPayloadError, OSError):
        raise _Refused(422, "the result cannot be read") from None
    raise _Refused(413, f"a result of this kind may have {most} bytes")
