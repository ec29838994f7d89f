"""git with the token that writes, behind the port of `ports`. Built by the wiring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from libs.common.git.change import Pushed, PushOrder, apply_and_push, find_pushed
from libs.common.git.tree import PatchRefusal, ProposedTree
from services.publisher.patches import PatchPolicy


class GitRepository:
    """Pushes with one token; raises the errors of `libs.common.git`."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def push(
        self, order: PushOrder, policy: PatchPolicy, check: Callable[[], None]
    ) -> Pushed:
        held = _WhileHeld(policy, check)
        return await apply_and_push(order, token=self._token, policy=held)

    async def pushed(self, order: PushOrder) -> Pushed | None:
        return await find_pushed(order, token=self._token)


@dataclass(frozen=True)
class _WhileHeld:
    """The policy, and `check` with its last question: a clone and a patch take their time."""

    policy: PatchPolicy
    check: Callable[[], None]

    def judge_patch(self, patch: bytes) -> PatchRefusal | None:
        return self.policy.judge_patch(patch)

    def judge_tree(self, patch: bytes, tree: ProposedTree) -> PatchRefusal | None:
        refusal = self.policy.judge_tree(patch, tree)
        self.check()
        return refusal
