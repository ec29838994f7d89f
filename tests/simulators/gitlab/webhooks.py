"""Sends webhooks as GitLab does: once, 10 seconds, no retry; keeps a delivery log.

Headers of reference sections 1.2 and 1.3, disabling of 1.4. `events` fires; tests read
`deliveries`, resend, duplicate, or hold deliveries back to send them in another order.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Callable

    from .state import Hook, Project
    from .world import World

TITLES = {
    "merge_request": "Merge Request Hook",
    "note": "Note Hook",
    "confidential_note": "Confidential Note Hook",
    "push": "Push Hook",
    "tag_push": "Tag Push Hook",
    "emoji": "Emoji Hook",
}
SYSTEM_EVENTS = {"merge_request", "push", "tag_push"}
FAILURES_BEFORE_DISABLING = 4
FAILURES_BEFORE_GIVING_UP = 40
# A request that carries X-Gitlab-Event-UUID gives its uuid to the hooks it causes.
causing_event: ContextVar[str | None] = ContextVar("causing_event", default=None)


@dataclass(eq=False)
class Delivery:
    """One request to a receiver and what came back. `status` is None when nothing did."""

    id: int
    hook: Hook
    event: str
    body: bytes
    idempotency_key: str
    event_uuid: str
    headers: dict[str, str] = field(default_factory=dict)
    status: int | None = None
    response_body: str = ""
    error: str = ""
    seconds: float = 0.0

    @property
    def payload(self) -> dict[str, Any]:
        payload: dict[str, Any] = json.loads(self.body)
        return payload

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 400


def sign(token: str, message_id: str, timestamp: str, body: bytes) -> str:
    """Return the Standard Webhooks signature: HMAC-SHA256 over id, timestamp and raw body."""
    key = base64.b64decode(token.removeprefix("whsec_"))
    message = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()


class Webhooks:
    """The delivery side of all hooks. `hold` keeps new deliveries in `held` until released."""

    def __init__(self, world: World) -> None:
        self.deliveries: list[Delivery] = []
        self.dropped: list[Delivery] = []  # hook disabled, body too large, recursion
        self.held: list[Delivery] = []
        self.hold = False
        self.muted = False  # events happen, no hook is sent: the lost webhook
        self._world = world
        self._chains: dict[str, set[int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None

    def fire(self, project: Project, event: str, body: dict[str, Any]) -> None:
        if self.muted:
            return
        kind = event.removeprefix("confidential_")
        hooks = [hook for hook in project.hooks if kind in hook.events]
        hooks += [hook for hook in self._world.system_hooks if kind in SYSTEM_EVENTS & hook.events]
        raw = json.dumps(body, separators=(",", ":")).encode()
        for hook in hooks:
            event_uuid = causing_event.get() or str(uuid.uuid4())
            delivery = self._delivery(hook, event, raw, str(uuid.uuid4()), event_uuid)
            self._accept(delivery)

    async def resend(self, delivery: Delivery) -> Delivery:
        """Send again as the button in the UI does: the same Idempotency-Key."""
        again = self._delivery(
            delivery.hook,
            delivery.event,
            delivery.body,
            delivery.idempotency_key,
            delivery.event_uuid,
        )
        await self._send(again)
        return again

    async def duplicate(self, delivery: Delivery) -> Delivery:
        """Send the same event again under another Idempotency-Key, as real servers sometimes do."""
        again = self._delivery(
            delivery.hook, delivery.event, delivery.body, str(uuid.uuid4()), str(uuid.uuid4())
        )
        await self._send(again)
        return again

    async def release(self, order: Callable[[list[Delivery]], list[Delivery]] = list) -> None:
        """Send what was held, one after the other, in the given order."""
        held, self.held, self.hold = self.held, [], False
        for delivery in order(held):
            await self._send(delivery)

    def run_later(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Wait until every delivery that was started has its answer."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    # --- one delivery -----------------------------------------------------------

    def _delivery(self, hook: Hook, event: str, body: bytes, key: str, event_uuid: str) -> Delivery:
        return Delivery(self._world.next_id(), hook, event, body, key, event_uuid)

    def _accept(self, delivery: Delivery) -> None:
        chain = self._chains.setdefault(delivery.event_uuid, set())
        if delivery.hook.id in chain:
            self._drop(delivery, "Recursive webhook blocked from executing")
            return
        chain.add(delivery.hook.id)
        if self.hold:
            self.held.append(delivery)
        else:
            self.run_later(asyncio.get_running_loop().create_task(self._send(delivery)))

    def _drop(self, delivery: Delivery, why: str) -> None:
        delivery.error = why
        self.dropped.append(delivery)

    def _disabled(self, hook: Hook) -> bool:
        if not self._world.settings.auto_disable_hooks:
            return False
        until = hook.disabled_until
        return hook.permanently_disabled or (until is not None and until > self._world.clock.now())

    async def _send(self, delivery: Delivery) -> None:
        if self._disabled(delivery.hook):
            self._drop(delivery, "hook is disabled")
            return
        if len(delivery.body) > self._world.settings.webhook_body_limit:
            self._drop(delivery, "internal error: request body is too large")
            return
        delivery.headers = self._headers(delivery)
        started = time.monotonic()
        try:
            await self._post(delivery)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            delivery.error = f"{type(error).__name__}: {error}"
        delivery.seconds = time.monotonic() - started
        self.deliveries.append(delivery)
        self._count(delivery)

    async def _post(self, delivery: Delivery) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(trust_env=False)
        limit = aiohttp.ClientTimeout(total=self._world.settings.webhook_timeout)
        async with self._session.post(
            delivery.hook.url,
            data=delivery.body,
            headers=delivery.headers,
            timeout=limit,
            allow_redirects=False,
        ) as response:
            content = await response.content.read(8192)
            delivery.response_body = content.decode(errors="replace")
            delivery.status = response.status

    def _count(self, delivery: Delivery) -> None:
        hook = delivery.hook
        if delivery.succeeded:
            hook.failures, hook.disabled_until = 0, None
            return
        hook.failures += 1
        if hook.failures >= FAILURES_BEFORE_GIVING_UP:
            hook.permanently_disabled = True
        elif hook.failures >= FAILURES_BEFORE_DISABLING:
            minutes = min(2 ** (hook.failures - FAILURES_BEFORE_DISABLING), 24 * 60)
            hook.disabled_until = self._world.clock.now() + timedelta(minutes=minutes)

    def _headers(self, delivery: Delivery) -> dict[str, str]:
        hook = delivery.hook
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"GitLab/{self._world.settings.version}",
            "Idempotency-Key": delivery.idempotency_key,
            "X-Gitlab-Event": "System Hook" if hook.system else TITLES[delivery.event],
            "X-Gitlab-Webhook-UUID": str(uuid.uuid4()),
            "X-Gitlab-Instance": self._world.external_url,
            "X-Gitlab-Event-UUID": delivery.event_uuid,
        }
        if hook.secret is not None:
            headers["X-Gitlab-Token"] = hook.secret
        if hook.signing_token is not None:
            timestamp = str(int(self._world.clock.now().timestamp()))
            key = delivery.idempotency_key
            headers["webhook-id"] = key
            headers["webhook-timestamp"] = timestamp
            headers["webhook-signature"] = sign(hook.signing_token, key, timestamp, delivery.body)
        return headers
