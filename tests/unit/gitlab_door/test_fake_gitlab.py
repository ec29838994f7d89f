"""The fake GitLab keeps the contract of the real one."""

from __future__ import annotations

import pytest

from libs.common.events.tasks import DiffRefs
from libs.common.gitlab.errors import TimedOut, Unavailable
from libs.common.gitlab.models import User
from tests.contract.gitlab_door import DIFF, GitLabDoorContract
from tests.contract.gitlab_door_commands import GitLabCommandsContract
from tests.fakes.gitlab import BOT, FakeGitLab

REFS = DiffRefs(base_sha="a" * 40, start_sha="a" * 40, head_sha="b" * 40)


class FakeRig:
    project_id, iid, bot_id = 42, 7, BOT.id

    def __init__(self) -> None:
        self.door = FakeGitLab()
        self.held = self.door.add_merge_request(REFS, diff=DIFF)

    async def push(self) -> str:
        self.door.push(self.held, "c" * 40)
        return "c" * 40

    async def close(self) -> None:
        self.door.change(self.held, state="closed")

    async def comment(self, text: str) -> None:
        self.door.comment(self.held, text)

    def switch_off_drafts(self, status: int) -> None:
        self.door.drafts_status = status

    def add_member(self, username: str, access_level: int) -> int:
        user = User(id=len(self.door.users) + 50, username=username)
        return self.door.add_member(self.project_id, user, access_level).id

    def add_stranger(self, username: str) -> int:
        user = User(id=len(self.door.users) + 50, username=username)
        self.door.users[user.id] = user
        return user.id

    def protect(self, pattern: str) -> None:
        self.door.protected[self.project_id].append(pattern)

    def forbid_protected_branches(self) -> None:
        self.door.protected[self.project_id] = None

    async def push_branch(self, name: str, path: str, content: bytes) -> str:
        sha = f"{len(self.door.files) + 1:040x}"
        self.door.set_branch(self.project_id, name, sha)
        self.door.files[self.project_id, sha, path] = content
        return sha


class TestFakeGitLab(GitLabDoorContract, GitLabCommandsContract):
    @pytest.fixture
    def rig(self):
        return FakeRig()


async def test_a_failure_on_order_happens_before_anything_is_done():
    rig = FakeRig()
    rig.door.fail_next.append(Unavailable("away"))

    with pytest.raises(Unavailable):
        await rig.door.create_note(42, 7, "hello")
    assert rig.door.bodies(rig.held) == []
    assert (await rig.door.create_note(42, 7, "hello")).body == "hello"


async def test_a_lost_answer_leaves_the_work_done():
    rig = FakeRig()
    rig.door.lose_answers.append("create_note")

    with pytest.raises(TimedOut) as caught:
        await rig.door.create_note(42, 7, "hello")
    assert caught.value.maybe_done
    assert rig.door.bodies(rig.held) == ["hello"]
