"""`POST /webhook`: proves the sender, translates, and answers once the log has the event.

A shell around `authentication`, `translate` and `intake`; `wiring` gives it a port. A strange
body is never answered 4xx or 5xx: GitLab would switch the hook off for everybody (SR-02).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog
from aiohttp import web

from libs.common import metrics, telemetry
from libs.common.allowed import Allowed
from libs.common.clock import Clock
from libs.common.errors import AgentError, Permanent, Temporary
from libs.common.events.envelope import NewEvent
from services.ingest import authentication
from services.ingest.authentication import Keys
from services.ingest.hook_watch import HookWatch, Unwatched
from services.ingest.intake import Intake
from services.ingest.meaning import OTHER, Ignored, Translated
from services.ingest.notes import Agent
from services.ingest.translate import translate

log = structlog.get_logger()
PATH = "/webhook"
SOURCE = "ingest/webhook"
LARGEST_BODY = 25 * 1024 * 1024
"""GitLab sends no more than this (`REQUEST_BODY_SIZE_LIMIT`)."""
BODY_SECONDS = 10.0
NOT_READABLE = "the body cannot be read as JSON"
NOT_SERVED = "this project is not in GITLAB_PROJECTS"
HELP = """This is the webhook of gitlab-copilot-agent; GitLab sends POST requests here.

In GitLab, under Settings > Webhooks of the project or group:
  URL            this address, ending in /webhook
  Secret token   the value of GITLAB_WEBHOOK_SECRET
  Trigger        Merge request events, Comments
"""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a hook is told, and what is counted and logged of it."""

    status: int
    outcome: str
    body: dict[str, str]
    kind: str = OTHER
    action: str = ""
    retry_after: int = 0
    fields: dict[str, Any] = msgspec.field(default_factory=dict)


class Webhook:
    """The handlers of the webhook's port; `agent` is asked for each hook, and never waits."""

    def __init__(
        self,
        *,
        keys: Keys,
        allowed: Allowed,
        intake: Intake,
        clock: Clock,
        agent: Callable[[], Agent],
        hooks: HookWatch | None = None,
    ) -> None:
        self._keys = keys
        self._allowed = allowed
        self._intake = intake
        self._clock = clock
        self._agent = agent
        self._hooks = hooks or Unwatched()

    def application(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_post(PATH, self.post)
        app.router.add_get(PATH, _help)
        app.router.add_get("/", _help)
        return app

    async def post(self, request: web.Request) -> web.Response:
        started = time.monotonic()
        found = await self._authentic(request)
        if isinstance(found, Answer):
            return _told(found, started)
        # Only now: a stranger gets neither a span nor a say in whose trace it is.
        with telemetry.span(
            f"POST {PATH}",
            kind="server",
            parent=request.headers.get("traceparent", ""),
            attributes={"http.request.method": "POST", "http.route": PATH},
        ) as span:
            answer = await self._take(found)
            span.set({"http.response.status_code": answer.status, "gca.outcome": answer.outcome})
            span.set({"gca.kind": answer.kind, "gca.action": answer.action})
            span.set({f"gca.{name}": value for name, value in answer.fields.items()})
            if answer.status >= 500:
                span.failed(str(answer.status))
            return _told(answer, started)

    async def _authentic(self, request: web.Request) -> Answer | bytes:
        """The body, proven to come from GitLab, or what the sender is told instead."""
        signed = authentication.is_signed(request.headers)
        if not self._may_read(request.headers, signed=signed):
            return _unauthorized(signed=signed)
        try:
            body = await _read(request)
        except TimeoutError:
            return Answer(status=408, outcome="slow", body={"error": "the body came too slowly"})
        except (web.RequestPayloadError, OSError):
            if signed:
                return _unauthorized(signed=signed)
            return _ignored(Ignored(reason=NOT_READABLE), outcome="unreadable")
        if body is None:
            error = f"the body is over {LARGEST_BODY} bytes"
            return Answer(status=413, outcome="too_large", body={"error": error})
        if signed and not authentication.signature_matches(
            request.headers, body, self._keys, self._clock.now()
        ):
            return _unauthorized(signed=signed)
        return body

    def _may_read(self, headers: Mapping[str, str], *, signed: bool) -> bool:
        if signed:
            return authentication.may_be_signed(headers, self._keys, self._clock.now())
        return authentication.token_matches(headers, self._keys)

    async def _take(self, body: bytes) -> Answer:
        try:
            decoded = msgspec.json.decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return _ignored(Ignored(reason=NOT_READABLE), outcome="unreadable")
        self._hooks.came(decoded)
        meaning = translate(decoded, self._agent())
        if isinstance(meaning, Ignored):
            return _ignored(meaning, outcome="ignored")
        if not self._allowed.serves(meaning.event.project_id, meaning.project_path):
            refused = Ignored(reason=NOT_SERVED, kind=meaning.kind, action=meaning.action)
            return _ignored(refused, outcome="not_allowed")
        return await self._append(meaning)

    async def _append(self, meaning: Translated) -> Answer:
        fields = {"project_id": meaning.event.project_id, "iid": meaning.event.iid}
        new = NewEvent(
            subject=meaning.subject,
            event=meaning.event,
            message_id=meaning.message_id,
            source=SOURCE,
            time=self._clock.now(),
            traceparent=telemetry.current(),
        )
        try:
            appended = await self._intake.append(new)
        except Permanent as error:
            refused = Ignored(reason=str(error), kind=meaning.kind, action=meaning.action)
            return _ignored(refused, outcome="refused")
        except AgentError as error:
            return Answer(
                status=503,
                outcome="full" if self._intake.is_full else "unavailable",
                body={"error": str(error)},
                kind=meaning.kind,
                action=meaning.action,
                retry_after=_seconds(error),
                fields=fields,
            )
        return Answer(
            status=202,
            outcome="duplicate" if appended.duplicate else "accepted",
            body={"event_id": meaning.message_id},
            kind=meaning.kind,
            action=meaning.action,
            fields=fields | {"seq": appended.seq},
        )


def _told(answer: Answer, started: float) -> web.Response:
    metrics.count("webhooks_received", kind=answer.kind, outcome=answer.outcome)
    level = log.info if answer.status < 400 else log.warning
    level(
        "webhook answered",
        status=answer.status,
        outcome=answer.outcome,
        kind=answer.kind,
        action=answer.action,
        **answer.body,
        **answer.fields,
        milliseconds=round((time.monotonic() - started) * 1000, 1),
    )
    again = {"Retry-After": str(answer.retry_after)} if answer.retry_after else None
    return web.Response(
        body=msgspec.json.encode(answer.body),
        content_type="application/json",
        status=answer.status,
        headers=again,
    )


async def _read(request: web.Request) -> bytes | None:
    """The body, or None as soon as it is known to be too large; raises `TimeoutError`."""
    if (request.content_length or 0) > LARGEST_BODY:
        return None
    if request.content.is_eof():  # it came with its head, as most do: nothing to wait for
        body = request.content.read_nowait()
        return body if len(body) <= LARGEST_BODY else None
    async with asyncio.timeout(BODY_SECONDS):
        return await _gathered(request)


async def _gathered(request: web.Request) -> bytes | None:
    """The body as it comes in, also without a length; None once it is too large."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > LARGEST_BODY:
            return None
    return bytes(body)


def _ignored(meaning: Ignored, *, outcome: str) -> Answer:
    return Answer(
        status=200,
        outcome=outcome,
        body={"reason": meaning.reason},
        kind=meaning.kind,
        action=meaning.action,
    )


def _unauthorized(*, signed: bool) -> Answer:
    error = (
        "the webhook-signature does not verify; compare GITLAB_WEBHOOK_SIGNING_TOKEN and the clocks"
        if signed
        else "X-Gitlab-Token is missing or is not GITLAB_WEBHOOK_SECRET"
    )
    return Answer(status=401, outcome="unauthorized", body={"error": error})


def _seconds(error: AgentError) -> int:
    return max(1, math.ceil(error.delay)) if isinstance(error, Temporary) else 60


async def _help(_: web.Request) -> web.Response:
    return web.Response(text=HELP)
