"""SR-06 and SR-09: which note is a command that stands, and whether its author may give it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.access import Levels
from libs.common.asking import Asked, Denied, Ignored, look_up
from libs.common.errors import Temporary
from libs.common.events.facts import NoteCommand
from libs.common.events.tasks import AskedIn, Requester
from libs.common.gitlab.agent import Agent, agent_user
from libs.common.gitlab.errors import Unavailable
from libs.common.gitlab.models import Member, User
from tests.fakes.gitlab import ALICE, BOT, FakeGitLab
from tests.samples import refs

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TODAY = NOW.date()
CODE, ASK, REVIEW, HELP = (
    f"/copilot {text}" for text in ("add a test", "ask why is it slow?", "review", "help")
)


class World:
    """A merge request with one note on it, a minute old."""

    def __init__(self, text: str = CODE, *, author: User = ALICE, **fields: Any) -> None:
        self.gitlab = FakeGitLab()
        self.gitlab.users[author.id] = author
        self.mr = self.gitlab.add_merge_request(refs())
        written = NOW - timedelta(minutes=1)
        known: dict[str, Any] = {"created_at": written} | fields
        self.discussion = self.gitlab.comment(self.mr, text, author, **known)
        note = self.discussion.notes[0]
        self.event = NoteCommand(
            project_id=42,
            iid=7,
            note_id=note.id,
            author_id=author.id,
            created_at=written,
            text=text,
            discussion_id=self.discussion.id,
        )

    def edit(self, **fields: Any) -> None:
        note = msgspec.structs.replace(self.discussion.notes[0], **fields)
        self.mr.discussions[0] = msgspec.structs.replace(self.discussion, notes=(note,))

    async def answer(self, **changes: Any) -> Asked | Denied | Ignored:
        known: dict[str, Any] = {"agent": BOT, "levels": Levels(), "now": NOW} | changes
        return await look_up(self.event, gitlab=self.gitlab, **known)


def member(level: int, **fields: Any) -> Member:
    return Member(id=ALICE.id, username=ALICE.username, access_level=level, **fields)


ALL, READ, NONE = {"help", "review", "ask", "code"}, {"help", "review", "ask"}, {"help"}
MATRIX = {
    "anonymous on a public project": (None, NONE),
    "Minimal Access": (member(5), NONE),
    "Guest": (member(10), NONE),
    "Planner": (member(15), NONE),
    "Reporter": (member(20), READ),
    "Security Manager": (member(25), READ),
    "Developer": (member(30), ALL),
    "Maintainer": (member(40), ALL),
    "Owner, inherited": (member(50), ALL),
    "blocked Maintainer": (member(40, state="blocked"), NONE),
    "Maintainer whose membership waits for approval": (member(40, state="awaiting"), NONE),
    "Developer whose membership expired today": (member(30, expires_at=TODAY), NONE),
    "Developer until tomorrow": (member(30, expires_at=date(2026, 3, 2)), ALL),
}


@pytest.mark.parametrize(("standing", "may"), MATRIX.values(), ids=MATRIX.keys())
async def test_sr06_each_role_may_ask_for_what_the_table_says_and_no_more(standing, may):
    allowed = set()
    for text in (CODE, ASK, REVIEW, HELP):
        world = World(text)
        if standing is not None:
            world.gitlab.members[42, ALICE.id] = standing
        answer = await world.answer()
        assert not isinstance(answer, Ignored)
        if isinstance(answer, Asked):
            allowed.add(answer.command.name)

    assert may == allowed


async def test_the_answer_says_who_asked_where_and_by_which_rule():
    world = World()
    world.gitlab.members[42, ALICE.id] = member(30)

    answer = await world.answer()

    assert isinstance(answer, Asked)
    assert answer.asked_in == AskedIn(
        note_id=world.event.note_id, discussion_id=world.discussion.id
    )
    assert answer.requester == Requester(
        name="alice", user_id=8, access_level=30, rule="Developer or more may ask for code"
    )
    assert (answer.command.instruction, answer.mr) == ("add a test", world.mr.merge_request)


async def test_a_refusal_names_the_role_that_would_do():
    world = World()
    world.gitlab.members[42, ALICE.id] = member(30)

    answer = await world.answer(levels=Levels(write=40))

    assert isinstance(answer, Denied)
    assert answer.needed == "Maintainer"
    assert (answer.requester.name, answer.requester.access_level) == ("alice", 30)


async def test_help_is_for_everybody_who_may_comment_and_asks_for_no_role():
    world = World(HELP)

    assert isinstance(await world.answer(), Asked)
    assert "member" not in world.gitlab.calls


HOUR = timedelta(hours=1)
BOTS = User(id=9, username="renovate", bot=True)
NEVER = {
    "system note": ({"system": True}, "GitLab wrote it"),
    "note of a bot": ({"author": BOTS}, "a bot wrote it"),
    "our own note": ({"author": BOT}, "we wrote it"),
    "note of yesterday": ({"created_at": NOW - 24 * HOUR}, "it is older than 24 hours"),
}


@pytest.mark.parametrize(("note", "why"), NEVER.values(), ids=NEVER.keys())
async def test_sr09_notes_that_never_start_work_are_ignored_whatever_their_author_may(note, why):
    world = World(**note)
    author = world.discussion.notes[0].author_id
    world.gitlab.members[42, author] = Member(id=author, access_level=50)

    assert Ignored(why=why) == await world.answer()


async def test_sr09_an_edited_note_is_ignored():
    world = World()
    world.edit(body="/copilot delete everything")

    assert Ignored(why="it was edited") == await world.answer()


async def test_a_command_that_waited_for_a_day_is_dropped_without_a_call():
    world = World()

    answer = await world.answer(now=world.event.created_at + 24 * HOUR)

    assert (answer, world.gitlab.calls) == (Ignored(why="it is older than 24 hours"), [])


async def test_a_name_that_is_not_the_agents_any_more_calls_nobody():
    world = World("@copilot-agent review")

    renamed = User(id=7, username="somebody-else", bot=True)
    assert Ignored(why="it is no command") == await world.answer(agent=renamed)
    assert Ignored(why="it is no command") == await world.answer(agent=None)


@pytest.mark.parametrize("lost", ["note", "merge request", "author"])
async def test_what_is_gone_is_ignored(lost):
    world = World()
    if lost == "note":
        world.mr.discussions.clear()
    elif lost == "author":
        del world.gitlab.users[ALICE.id]
    else:
        world.gitlab.merge_requests.clear()

    assert Ignored(why="it is gone") == await world.answer()


@pytest.mark.parametrize("named", ["", "f" * 40])
async def test_a_note_is_found_without_the_id_of_its_discussion(named):
    world = World(HELP)
    world.event = msgspec.structs.replace(world.event, discussion_id=named)

    answer = await world.answer()

    assert isinstance(answer, Asked)
    assert answer.asked_in.discussion_id == world.discussion.id
    assert world.gitlab.calls.count("discussions") == 1


@pytest.mark.parametrize("failing", ["discussion", "user", "merge_request", "member"])
async def test_sr06_while_gitlab_is_away_nobody_gets_in(failing):
    world = World()
    world.gitlab.members[42, ALICE.id] = member(50)
    sick = Sick(world.gitlab, failing)

    with pytest.raises(Unavailable):
        await look_up(world.event, gitlab=sick, agent=BOT, levels=Levels(), now=NOW)


async def test_a_long_note_is_known_by_its_beginning():
    world = World(f"/copilot {'word ' * 20_000}")
    world.gitlab.members[42, ALICE.id] = member(30)
    cut = world.event.text[: 64 * 1024]
    world.event = msgspec.structs.replace(world.event, text=cut)

    assert isinstance(await world.answer(), Asked)
    world.edit(body="/copilot something else")
    assert Ignored(why="it was edited") == await world.answer()


async def test_the_agent_is_the_account_of_the_setting_else_that_of_the_token():
    gitlab = FakeGitLab()

    assert await agent_user(gitlab, "") == BOT
    assert await agent_user(gitlab, "alice") == ALICE
    with pytest.raises(Temporary, match=r"AGENT_GITLAB_USERNAME.*'nobody'"):
        await agent_user(gitlab, "nobody")


async def test_the_agent_is_asked_for_once():
    gitlab = FakeGitLab()
    agent = Agent(gitlab, "alice")

    assert [await agent.user(), await agent.user()] == [ALICE, ALICE]
    assert gitlab.calls == ["user_named"]


class Sick:
    """A GitLab on which one kind of call fails."""

    def __init__(self, inner: FakeGitLab, call: str) -> None:
        self._inner = inner
        self._call = call

    def __getattr__(self, name: str) -> Any:
        if name != self._call:
            return getattr(self._inner, name)

        async def refuse(*_: object) -> None:
            raise Unavailable("GitLab is away")

        return refuse
