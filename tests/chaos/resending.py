"""What an operator does where no poller runs: the button Resend of GitLab's list of deliveries."""

from __future__ import annotations

import asyncio

from tests.chaos.world import World
from tests.simulators.gitlab import Delivery


class Resending:
    """Presses GitLab's button Resend for deliveries that were not answered 2xx.

    GitLab itself never repeats one. Where the poller runs, nobody has to press it.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._read = 0
        self._failed: dict[str, Delivery] = {}
        self.resent = 0

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`, and until none is left."""
        while not stopping.is_set() or self._failed:
            self._look()
            for key in list(self._failed):
                again = await self._world.gitlab.resend(self._failed[key])
                self.resent += again.succeeded
                if not again.succeeded:
                    break
            self._look()
            await asyncio.sleep(0.3)

    def _look(self) -> None:
        deliveries = self._world.gitlab.deliveries
        for delivery in deliveries[self._read :]:
            if delivery.succeeded:
                self._failed.pop(delivery.idempotency_key, None)
            else:
                self._failed.setdefault(delivery.idempotency_key, delivery)
        self._read = len(deliveries)
