"""What Jira does for us, asked through the door; subclasses bring a `rig`.

The project of every rig is PROJ, with the default workflow of the simulated Jira: To Do, AI Ready,
In Progress, In Review and Done, each to be reached from everywhere. The cases hold for Cloud and
Data Center alike.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable
from datetime import timedelta
from typing import Any, Protocol

import pytest

from libs.common.jira.adf_writing import from_text
from libs.common.jira.errors import Invalid, NotFound, NoTransition
from libs.common.jira.models import Change, Comment, Issue, Transition, User
from libs.common.jira.status_change import CREATED, entered

READY = "AI Ready"


class Door(Protocol):
    """The calls of ingest and the publisher together."""

    async def current_user(self) -> User: ...
    def ready_issues(
        self, project_keys: Iterable[str], status: str, *, updated_within: timedelta | None = None
    ) -> AsyncIterator[Issue]: ...
    async def issue(self, issue_key: str) -> Issue: ...
    async def changelog(self, issue_key: str) -> list[Change]: ...
    async def transitions(self, issue_key: str) -> list[Transition]: ...
    async def transition(
        self, issue_key: str, status: str, *, only_from: Collection[str] = ()
    ) -> bool: ...
    async def comments(self, issue_key: str) -> list[Comment]: ...
    async def add_comment(self, issue_key: str, document: dict[str, Any]) -> Comment: ...


class Rig(Protocol):
    """A Jira with the project PROJ, and people who do things there."""

    door: Door
    bot_id: str
    alice_id: str

    def create(self, summary: str = "Greet", *, status: str = "To Do", text: str = "") -> str:
        """Alice creates an issue; returns its key."""
        ...

    def move(self, issue_key: str, status: str) -> str:
        """Alice moves it; returns the id of the change."""
        ...

    def edit(self, issue_key: str, summary: str) -> None: ...

    def comment(self, issue_key: str, text: str, *, restricted: bool = False) -> None: ...

    def age(self, seconds: float) -> None:
        """Time passes."""
        ...

    def restrict_ways(self) -> None:
        """From now on the workflow leads to Done alone."""
        ...


async def ready(rig, **options):
    found = rig.door.ready_issues(["PROJ"], READY, **options)
    return [issue async for issue in found]


class JiraDoorContract:
    @pytest.fixture
    def rig(self) -> Rig:
        raise NotImplementedError

    async def test_the_current_user_is_the_bot(self, rig):
        assert (await rig.door.current_user()).id == rig.bot_id

    async def test_an_issue_has_a_status_a_creator_and_a_text(self, rig):
        key = rig.create("Greet", status=READY, text="Say hello.")

        found = await rig.door.issue(key)

        assert (found.key, found.project_key, found.number) == (key, "PROJ", 1)
        assert (found.summary, found.description, found.status) == ("Greet", "Say hello.", READY)
        assert (found.creator.id, found.security_level) == (rig.alice_id, "")
        assert found.created is not None
        assert found.updated == found.created
        assert found.web_url.endswith(f"/browse/{key}")

    async def test_an_issue_without_a_description_has_an_empty_text(self, rig):
        assert (await rig.door.issue(rig.create())).description == ""

    async def test_ready_issues_are_those_in_the_status_oldest_first(self, rig):
        keys = [rig.create(status=READY), rig.create(), rig.create(text="Later.")]
        rig.move(keys[2], READY)

        found = await ready(rig)

        assert [issue.key for issue in found] == [keys[0], keys[2]]
        assert found == [await rig.door.issue(keys[0]), await rig.door.issue(keys[2])]

    async def test_ready_issues_may_be_bounded_by_time(self, rig):
        rig.create(status=READY)
        rig.age(3600)
        fresh = rig.create(status=READY)

        found = await ready(rig, updated_within=timedelta(minutes=10))

        assert [issue.key for issue in found] == [fresh]
        assert len(await ready(rig, updated_within=timedelta(hours=2))) == 2

    @pytest.mark.parametrize(
        ("keys", "status"),
        [
            ([], READY),
            (['PROJ") OR ("a" = "a'], READY),
            (["proj"], READY),
            (["PROJ"], ""),
            (["PROJ"], "two\nlines"),
            (["NOPE"], READY),
            (["PROJ"], 'AI Ready" OR project = "PROJ'),
            (["PROJ"], "AI Ready\\"),
        ],
    )
    async def test_a_search_that_cannot_be_is_invalid(self, rig, keys, status):
        rig.create(status=READY)
        with pytest.raises(Invalid):
            [issue async for issue in rig.door.ready_issues(keys, status)]

    async def test_the_history_says_who_moved_an_issue_and_each_move_has_its_id(self, rig):
        key = rig.create()
        first = rig.move(key, READY)
        rig.move(key, "In Progress")
        second = rig.move(key, READY)
        rig.edit(key, "Greet everybody")

        change = entered(await rig.door.issue(key), await rig.door.changelog(key), READY)

        assert first != second
        assert change is not None
        assert (change.id, change.author.id) == (second, rig.alice_id)

    async def test_an_issue_created_in_the_status_says_so(self, rig):
        key = rig.create(status=READY)
        rig.edit(key, "Greet everybody")

        change = entered(await rig.door.issue(key), await rig.door.changelog(key), READY)

        assert change is not None
        assert (change.id, change.author.id) == (CREATED, rig.alice_id)

    async def test_a_transition_is_found_by_the_name_of_its_status(self, rig):
        key = rig.create(status=READY)

        assert await rig.door.transition(key, "In Progress") is True

        assert (await rig.door.issue(key)).status == "In Progress"
        [change] = await rig.door.changelog(key)
        assert change.author.id == rig.bot_id

    @pytest.mark.parametrize("name", ["In Progress", "in progress"])
    async def test_a_transition_to_where_it_is_does_nothing(self, rig, name):
        key = rig.create(status="In Progress")

        assert await rig.door.transition(key, name) is False
        assert await rig.door.changelog(key) == []

    async def test_an_issue_that_a_person_put_elsewhere_is_left_there(self, rig):
        key = rig.create(status="Done")

        assert (
            await rig.door.transition(key, "In Review", only_from=(READY, "In Progress")) is False
        )
        assert (await rig.door.issue(key)).status == "Done"
        assert await rig.door.transition(key, "In Progress", only_from=("done",)) is True

    async def test_a_status_that_the_workflow_does_not_lead_to_is_told(self, rig):
        key = rig.create(status=READY)
        rig.restrict_ways()

        with pytest.raises(NoTransition, match=r"'Done'.*'In Review'.*JIRA_IN_REVIEW_STATUS"):
            await rig.door.transition(key, "In Review")
        assert [way.to_status for way in await rig.door.transitions(key)] == ["Done"]
        assert (await rig.door.issue(key)).status == READY

    async def test_comments_are_listed_as_text_oldest_first(self, rig):
        key = rig.create()
        rig.comment(key, "from a person")
        rig.comment(key, "for some only", restricted=True)

        written = await rig.door.add_comment(key, from_text("Task coding-PROJ-1-10 [a_b]: *done*"))

        found = await rig.door.comments(key)
        assert [(c.author.id, c.body, c.restricted) for c in found] == [
            (rig.alice_id, "from a person", False),
            (rig.alice_id, "for some only", True),
            (rig.bot_id, "Task coding-PROJ-1-10 [a_b]: *done*", False),
        ]
        assert found[-1] == written

    async def test_an_empty_comment_is_invalid(self, rig):
        key = rig.create()
        with pytest.raises(Invalid):
            await rig.door.add_comment(key, from_text(" \n"))
        assert await rig.door.comments(key) == []

    async def test_what_is_not_there_is_not_found(self, rig):
        for call in (
            rig.door.issue("PROJ-99"),
            rig.door.changelog("PROJ-99"),
            rig.door.transitions("PROJ-99"),
            rig.door.transition("PROJ-99", READY),
            rig.door.comments("PROJ-99"),
            rig.door.add_comment("PROJ-99", from_text("hello")),
        ):
            with pytest.raises(NotFound):
                await call

    @pytest.mark.parametrize(
        "key", ["", "PROJ", "proj-1", "PROJ-1/../../x", "PROJ-1?a=b", "PROJ-0"]
    )
    async def test_what_is_no_key_is_invalid(self, rig, key):
        with pytest.raises(Invalid):
            await rig.door.issue(key)
        with pytest.raises(Invalid):
            await rig.door.add_comment(key, from_text("hello"))
