"""git with the token that writes, behind the port of `ports`. Built by the wiring."""

from __future__ import annotations

from libs.common.git.change import Pushed, PushOrder, apply_and_push, find_pushed
from services.publisher.patches import PatchPolicy


class GitRepository:
    """Pushes with one token; raises the errors of `libs.common.git`."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def push(self, order: PushOrder, policy: PatchPolicy) -> Pushed:
        return await apply_and_push(order, token=self._token, policy=policy)

    async def pushed(self, order: PushOrder) -> Pushed | None:
        return await find_pushed(order, token=self._token)
