"""What commands and code ask of GitLab through the door; subclasses bring a `rig`.

Threads, emoji, people, branches, files, new merge requests. Run by the same classes as
`gitlab_door`, whose merge request of `topic` into `main` this uses.
"""

from __future__ import annotations

from typing import Protocol

import pytest

from libs.common.gitlab.errors import AlreadyThere, Forbidden, Invalid, NotFound
from libs.common.gitlab.models import Award, Branch, Discussion, Member, MergeRequest, Note, User
from libs.common.gitlab.repositories import LARGEST_FILE

AWKWARD = "feat/äö#1&2%2F3"
"""A branch name that is no part of a path as it stands."""


class Door(Protocol):
    """The calls of the coder, and those of the publisher for commands and code."""

    async def discussion(self, project_id: int, iid: int, discussion_id: str) -> Discussion: ...
    async def reply(self, project_id: int, iid: int, discussion_id: str, body: str) -> Note: ...
    async def awards(self, project_id: int, iid: int, note_id: int) -> list[Award]: ...
    async def award(self, project_id: int, iid: int, note_id: int, name: str) -> Award | None: ...
    async def remove_award(
        self, project_id: int, iid: int, note_id: int, award_id: int
    ) -> None: ...
    async def member(self, project_id: int, user_id: int) -> Member | None: ...
    async def user(self, user_id: int) -> User: ...
    async def user_named(self, username: str) -> User | None: ...
    async def branch(self, project_id: int, name: str) -> Branch | None: ...
    async def protected_branches(self, project_id: int) -> list[str]: ...
    async def file(self, project_id: int, path: str, ref: str) -> bytes | None: ...
    async def merge_requests_from(
        self, project_id: int, source_branch: str
    ) -> list[MergeRequest]: ...
    async def create_merge_request(
        self,
        project_id: int,
        *,
        source_branch: str,
        target_branch: str,
        title: str,
        description: str,
    ) -> MergeRequest: ...


class Rig(Protocol):
    """People who give rights and push, besides those of `gitlab_door`."""

    door: Door
    project_id: int
    iid: int
    bot_id: int

    def add_member(self, username: str, access_level: int) -> int:
        """Returns the new user's id."""
        ...

    def add_stranger(self, username: str) -> int: ...

    def protect(self, pattern: str) -> None: ...

    def forbid_protected_branches(self) -> None:
        """Let the bot's role be too low to read them."""
        ...

    async def push_branch(self, name: str, path: str, content: bytes) -> str:
        """Make the branch, or move it, with one changed file; returns its new tip."""
        ...

    async def comment(self, text: str) -> None: ...

    async def close(self) -> None: ...


def drafted(rig: Rig, source_branch: str, title: str = "Draft: PROJ-1 Change"):
    """A new merge request from `source_branch`, not awaited."""
    return rig.door.create_merge_request(
        rig.project_id,
        source_branch=source_branch,
        target_branch="main",
        title=title,
        description="Why.",
    )


class ThreadsContract:
    """Discussions, replies, emoji."""

    @pytest.fixture
    async def thread(self, rig, key):
        """A person's plain comment."""
        await rig.comment("/copilot help")
        found = await rig.door.discussions(*key)
        return next(each for each in found if each.notes[0].body == "/copilot help")

    async def test_a_discussion_is_found_by_its_id(self, rig, key, thread):
        assert await rig.door.discussion(*key, thread.id) == thread

    async def test_a_discussion_that_is_nowhere_is_not_found(self, rig, thread):
        for iid, discussion_id in (
            (rig.iid, "f" * 40),
            (rig.iid, "../7/x?y"),
            (999, thread.id),
        ):
            await self.is_not_found(rig, iid, discussion_id)

    async def test_a_discussion_of_another_merge_request_is_not_found(self, rig, thread):
        await rig.push_branch("agent/other", "b.py", b"b\n")
        other = await drafted(rig, "agent/other")
        await self.is_not_found(rig, other.iid, thread.id)

    async def is_not_found(self, rig, iid, discussion_id):
        with pytest.raises(NotFound):
            await rig.door.discussion(rig.project_id, iid, discussion_id)
        with pytest.raises(NotFound):
            await rig.door.reply(rig.project_id, iid, discussion_id, "hello")

    async def test_a_reply_makes_a_thread_of_a_comment(self, rig, key, thread):
        created = await rig.door.reply(*key, thread.id, "here")

        found = await rig.door.discussion(*key, thread.id)
        assert (thread.individual_note, found.individual_note) == (True, False)
        assert [note.id for note in found.notes] == [thread.notes[0].id, created.id]
        assert [note.type for note in found.notes] == ["DiscussionNote", "DiscussionNote"]
        assert (created.body, created.author_id) == ("here", rig.bot_id)

    async def test_a_reply_of_quick_actions_or_nothing_is_invalid(self, rig, key, thread):
        for body in ("/label ~bug", " "):
            with pytest.raises(Invalid):
                await rig.door.reply(*key, thread.id, body)
        assert len((await rig.door.discussion(*key, thread.id)).notes) == 1

    async def test_an_emoji_is_given_once_and_taken_back(self, rig, key, thread):
        note = thread.notes[0].id
        first = await rig.door.award(*key, note, "eyes")
        assert (first.name, first.user_id) == ("eyes", rig.bot_id)

        assert await rig.door.award(*key, note, "eyes") is None
        second = await rig.door.award(*key, note, "x")
        assert [first, second] == await rig.door.awards(*key, note)

        for _ in range(2):
            await rig.door.remove_award(*key, note, first.id)
        assert [second] == await rig.door.awards(*key, note)

    async def test_a_note_that_is_gone_takes_no_emoji(self, rig, key):
        with pytest.raises(NotFound):
            await rig.door.award(*key, 999_999, "eyes")
        with pytest.raises(NotFound):
            await rig.door.awards(*key, 999_999)
        await rig.door.remove_award(*key, 999_999, 1)


class PeopleContract:
    """Accounts and roles."""

    async def test_a_member_has_a_level_and_a_state(self, rig):
        user_id = rig.add_member("dora", 30)

        found = await rig.door.member(rig.project_id, user_id)

        assert Member(id=user_id, username="dora", access_level=30) == found

    async def test_strangers_and_other_projects_have_no_member(self, rig):
        user_id = rig.add_stranger("sid")
        assert await rig.door.member(rig.project_id, user_id) is None
        assert await rig.door.member(999_999, user_id) is None

    async def test_a_user_says_whether_it_is_a_bot(self, rig):
        user_id = rig.add_stranger("sid")
        assert User(id=user_id, username="sid") == await rig.door.user(user_id)
        assert (await rig.door.user(rig.bot_id)).bot
        with pytest.raises(NotFound):
            await rig.door.user(999_999)

    async def test_a_user_is_found_by_the_whole_name(self, rig):
        user_id = rig.add_stranger("sid")
        for name, expected in (("sid", user_id), ("SID", user_id), ("si", None), ("a&b", None)):
            found = await rig.door.user_named(name)
            assert expected == (found and found.id)


class CodeContract:
    """Branches, files and merge requests made by us."""

    @pytest.mark.parametrize("name", ["agent/PROJ-1", AWKWARD])
    async def test_a_branch_has_a_tip(self, rig, name):
        assert await rig.door.branch(rig.project_id, name) is None
        tip = await rig.push_branch(name, "b.py", b"b\n")
        assert Branch(name=name, sha=tip) == await rig.door.branch(rig.project_id, name)

        tip = await rig.push_branch(name, "b.py", b"c\n")
        assert tip == (await rig.door.branch(rig.project_id, name)).sha

    async def test_a_branch_of_no_project_is_none(self, rig):
        assert await rig.door.branch(999_999, "main") is None

    async def test_a_protected_branch_says_so(self, rig):
        main = await rig.door.branch(rig.project_id, "main")
        assert (main.protected, main.default) == (True, True)
        assert (await rig.door.protected_branches(rig.project_id)) == ["main"]

        rig.protect("release/*")
        assert {"main", "release/*"} == set(await rig.door.protected_branches(rig.project_id))
        await rig.push_branch("release/1", "b.py", b"b\n")
        assert (await rig.door.branch(rig.project_id, "release/1")).protected

    async def test_protected_branches_that_are_not_for_us_are_forbidden(self, rig):
        rig.forbid_protected_branches()
        with pytest.raises(Forbidden):
            await rig.door.protected_branches(rig.project_id)
        with pytest.raises(NotFound):
            await rig.door.protected_branches(999_999)

    @pytest.mark.parametrize(
        "content", [b"", b"one\r\ntwo", b"\x00\xff\xfe", b"x" * LARGEST_FILE, b'{"message": 1}']
    )
    async def test_a_file_is_bytes_as_they_are(self, rig, content):
        tip = await rig.push_branch(AWKWARD, "d/ü #?%.json", content)
        assert await rig.door.file(rig.project_id, "d/ü #?%.json", tip) == content

    async def test_a_file_too_large_is_invalid(self, rig):
        tip = await rig.push_branch("big", "big.bin", b"x" * (LARGEST_FILE + 1))
        with pytest.raises(Invalid, match=str(LARGEST_FILE)):
            await rig.door.file(rig.project_id, "big.bin", tip)

    async def test_a_file_that_is_not_there_is_none(self, rig):
        tip = await rig.push_branch("topic2", "b.py", b"b\n")
        assert await rig.door.file(rig.project_id, "c.py", tip) is None
        assert await rig.door.file(rig.project_id, "b.py", "f" * 40) is None
        assert await rig.door.file(999_999, "b.py", tip) is None

    async def test_a_merge_request_is_made_as_a_draft(self, rig):
        tip = await rig.push_branch("agent/PROJ-1", "b.py", b"b\n")

        made = await drafted(rig, "agent/PROJ-1")

        assert (made.project_id, made.source_project_id) == (rig.project_id,) * 2
        assert (made.source_branch, made.target_branch) == ("agent/PROJ-1", "main")
        assert (made.title, made.description) == ("Draft: PROJ-1 Change", "Why.")
        assert (made.state, made.draft, made.author_id) == ("opened", True, rig.bot_id)
        assert made.web_url.endswith(f"/-/merge_requests/{made.iid}")
        assert made.iid != rig.iid
        assert (await rig.door.merge_request(rig.project_id, made.iid)).sha == tip

    async def test_a_second_open_merge_request_of_a_branch_is_there_already(self, rig):
        with pytest.raises(AlreadyThere, match=f"already exists.*!{rig.iid}"):
            await drafted(rig, "topic")
        assert [rig.iid] == [
            each.iid for each in await rig.door.merge_requests_from(rig.project_id, "topic")
        ]

    async def test_after_a_closed_one_another_can_be_made(self, rig):
        await rig.close()
        made = await drafted(rig, "topic")

        found = await rig.door.merge_requests_from(rig.project_id, "topic")

        expected = [(made.iid, "opened"), (rig.iid, "closed")]
        assert expected == [(each.iid, each.state) for each in found]

    async def test_a_merge_request_of_a_missing_or_the_same_branch_is_refused(self, rig):
        for source in ("nowhere", "main"):
            with pytest.raises((Invalid, AlreadyThere)):
                await drafted(rig, source)
        assert await rig.door.merge_requests_from(rig.project_id, "nowhere") == []

    async def test_merge_requests_of_no_project_are_not_found(self, rig):
        with pytest.raises(NotFound):
            await rig.door.merge_requests_from(999_999, "topic")


class GitLabCommandsContract(ThreadsContract, PeopleContract, CodeContract):
    """All three."""
