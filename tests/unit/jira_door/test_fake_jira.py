"""The fake Jira keeps the contract of the real one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from libs.common.jira.adf_writing import from_text
from libs.common.jira.errors import TimedOut, Unavailable
from tests.contract.jira_door import JiraDoorContract
from tests.fakes.jira import ALICE, BOT, FakeJira


class FakeRig:
    bot_id, alice_id = BOT.id, ALICE.id

    def __init__(self) -> None:
        self.door = FakeJira()

    def create(self, summary="Greet", *, status="To Do", text=""):
        return self.door.add_issue(summary=summary, status=status, description=text)

    def move(self, issue_key, status):
        return self.door.move(issue_key, status)

    def edit(self, issue_key, summary):
        self.door.change(issue_key, summary=summary)

    def comment(self, issue_key, text, *, restricted=False):
        self.door.comment(issue_key, text, restricted=restricted)

    def age(self, seconds):
        self.door.now += timedelta(seconds=seconds)

    def restrict_ways(self):
        self.door.ways = ("Done",)


class TestFakeJira(JiraDoorContract):
    @pytest.fixture
    def rig(self):
        return FakeRig()


async def test_a_failure_on_order_happens_before_anything_is_done():
    jira = FakeJira()
    key = jira.add_issue()
    jira.fail_next.append(Unavailable("away"))

    with pytest.raises(Unavailable):
        await jira.transition(key, "Done")
    assert jira.issues[key].status == "To Do"
    assert await jira.transition(key, "Done")


async def test_a_lost_answer_leaves_the_work_done():
    jira = FakeJira()
    key = jira.add_issue()
    jira.lose_answers.append("add_comment")

    with pytest.raises(TimedOut) as caught:
        await jira.add_comment(key, from_text("hello"))
    assert caught.value.maybe_done
    assert jira.bodies(key) == ["hello"]
