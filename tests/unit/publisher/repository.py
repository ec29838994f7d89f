"""Branches and large bodies in memory, with the rules of the real ones that publishing leans on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from libs.common.errors import AgentError, Permanent
from libs.common.events.tasks import Artifact
from libs.common.git.change import Pushed, PushOrder
from libs.common.git.errors import RefGone
from libs.common.git.push_errors import (
    BranchTaken,
    ChangeRefused,
    MaybePushed,
    MovedBranch,
    PatchDoesNotApply,
)
from services.publisher.patches import PatchPolicy, read_patch
from tests.fakes.gitlab import FakeGitLab

PROJECT = 42


class MemoryRepository:
    """The branches of the fake GitLab; `commits` are the orders that became one, oldest first.

    Each error put into `fail_next` is raised by one later push before it does anything. The next
    push loses its answer when `lose_answer`; a patch fits no other commit when not `fits`.
    """

    def __init__(self, gitlab: FakeGitLab) -> None:
        self.commits: list[PushOrder] = []
        self.policies: list[PatchPolicy] = []
        self.fail_next: list[AgentError] = []
        self.lose_answer = False
        self.fits = True
        self._gitlab = gitlab

    async def push(
        self, order: PushOrder, policy: PatchPolicy, check: Callable[[], None]
    ) -> Pushed:
        self.policies.append(policy)
        if self.fail_next:
            raise self.fail_next.pop(0)
        refusal = policy.judge_patch(order.patch)
        if refusal:
            raise ChangeRefused(refusal)
        there = await self.pushed(order)
        if there:
            return there
        self._check(order)
        check()
        sha = _sha(order)
        self.commits.append(order)
        self._move(order.branch, sha)
        if self.lose_answer:
            self.lose_answer = False
            raise MaybePushed("no answer to the push")
        return Pushed(sha=sha, files=read_patch(order.patch).paths)

    async def pushed(self, order: PushOrder) -> Pushed | None:
        for commit in self.commits:
            if commit.task_id == order.task_id:
                files = read_patch(commit.patch).paths
                return Pushed(sha=_sha(commit), files=files, already=True)
        return None

    def _check(self, order: PushOrder) -> None:
        tip = self._gitlab.branches.get((PROJECT, order.branch))
        if order.new_branch:
            if tip is not None:
                raise BranchTaken(f"the branch {order.branch} exists already", tip=tip.sha)
            return
        if tip is None:
            raise RefGone(f"the branch {order.branch} is no longer on the server")
        if tip.sha != order.parent:
            raise MovedBranch("the branch moved", tip=tip.sha)
        if order.onto_sha and not self.fits:
            raise PatchDoesNotApply("the patch does not apply")

    def _move(self, branch: str, sha: str) -> None:
        self._gitlab.set_branch(PROJECT, branch, sha)
        for held in self._gitlab.merge_requests.values():
            if held.merge_request.source_branch == branch:
                self._gitlab.push(held, sha)


class MemoryArtifacts:
    """Large bodies by name, checked by their digest as the real store does."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, body: bytes) -> Artifact:
        digest = hashlib.sha256(body).hexdigest()
        self.kept[digest] = body
        return Artifact(artifact=digest, size=len(body), digest=digest)

    async def get(self, wanted: Artifact) -> bytes:
        body = self.kept.get(wanted.artifact)
        if body is None or hashlib.sha256(body).hexdigest() != wanted.digest:
            raise Permanent(f"the artifact {wanted.artifact} is not what was put there")
        return body


def _sha(order: PushOrder) -> str:
    return hashlib.sha1(f"{order.task_id} {order.parent}".encode()).hexdigest()  # a fake commit
