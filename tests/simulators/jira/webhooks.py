"""Webhooks as Cloud sends them: the same identifier on a retry, and a count (J8).

`World.changed` leads here. The product polls and takes none, so there is one receiver at most.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import aiohttp

from . import views

if TYPE_CHECKING:
    from .state import Change, Issue, User, World

MOST_RETRIES = 5
_RETRIED = {408, 409, 425, 429}


@dataclass
class Delivery:
    """One event on its way; `statuses` has an entry per try, 0 for no answer."""

    identifier: str
    event: str
    statuses: list[int] = field(default_factory=list)


class Webhooks:
    """Sends what happens to one address, in order."""

    def __init__(self, world: World) -> None:
        self.url: str | None = None
        self.secret: str | None = None
        self.deliveries: list[Delivery] = []
        self._world = world
        self._tasks: set[asyncio.Task[None]] = set()

    def happened(
        self, event: str, issue: Issue, author: User | None, change: Change | None
    ) -> None:
        if self.url is None:
            return
        body: dict[str, Any] = {
            "timestamp": int(self._world.now().timestamp() * 1000),
            "webhookEvent": event,
            "user": views.user(self._world, author),
            "issue": views.issue(self._world, issue, ["*all"]),
        }
        if change is not None:
            shown = views.change(self._world, change)
            body["changelog"] = {"id": shown["id"], "items": shown["items"]}
            body["issue_event_type_name"] = "issue_generic"
        delivery = Delivery(str(uuid.uuid4()), event)
        self.deliveries.append(delivery)
        task = asyncio.get_running_loop().create_task(self._deliver(delivery, json.dumps(body)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Wait until the deliveries under way have ended."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.settle()

    async def _deliver(self, delivery: Delivery, body: str) -> None:
        async with aiohttp.ClientSession() as session:
            for number in range(MOST_RETRIES + 1):
                status = await self._send(session, delivery, body, number)
                delivery.statuses.append(status)
                if status and status < 500 and status not in _RETRIED:
                    return
                pause = timedelta(seconds=self._world.settings.retry_delay)
                await self._world.clock.sleep_until(self._world.clock.now() + pause)

    async def _send(
        self, session: aiohttp.ClientSession, delivery: Delivery, body: str, number: int
    ) -> int:
        headers = {
            "Content-Type": "application/json",
            "X-Atlassian-Webhook-Identifier": delivery.identifier,
            "X-Atlassian-Webhook-Flow": "Primary",
        }
        if number:
            headers["X-Atlassian-Webhook-Retry"] = str(number)
        if self.secret:
            digest = hmac.new(self.secret.encode(), body.encode(), hashlib.sha256).hexdigest()
            headers["X-Hub-Signature"] = f"sha256={digest}"
        try:
            async with session.post(self.url or "", data=body, headers=headers) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return 0
