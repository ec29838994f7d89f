"""What GitLab does for us, asked through the door; subclasses bring a `rig`.

The merge request of every rig changes `a.py` as `DIFF` says. Cases follow section numbers of
GitLab's documented behaviour: notes, discussions with positions, draft notes, versions.
"""

from __future__ import annotations

from typing import Any, Protocol

import pytest

from libs.common.diff import line_code
from libs.common.events.tasks import DiffRefs, Point, Position
from libs.common.gitlab.errors import Forbidden, Invalid, NotFound
from libs.common.gitlab.models import (
    Commit,
    Discussion,
    DraftNote,
    MergeRequest,
    Note,
    Project,
    User,
    Version,
)
from libs.common.gitlab.positions import file_position_json, position_json

BASE_TEXT = "one\ntwo\nthree\n"
HEAD_TEXT = "one\n2\nthree\nfour\n"
DIFF = """diff --git a/a.py b/a.py
--- a/a.py
+++ b/a.py
@@ -1,3 +1,4 @@
 one
-two
+2
 three
+four
"""


class Door(Protocol):
    """The calls of the reviewer and the publisher together."""

    async def current_user(self) -> User: ...
    async def project(self, project_id: int) -> Project: ...
    async def merge_request(self, project_id: int, iid: int) -> MergeRequest: ...
    async def versions(self, project_id: int, iid: int) -> list[Version]: ...
    async def commits(self, project_id: int, iid: int) -> list[Commit]: ...
    async def notes(self, project_id: int, iid: int) -> list[Note]: ...
    async def discussions(self, project_id: int, iid: int) -> list[Discussion]: ...
    async def create_note(self, project_id: int, iid: int, body: str) -> Note: ...
    async def update_note(self, project_id: int, iid: int, note_id: int, body: str) -> Note: ...
    async def create_discussion(
        self, project_id: int, iid: int, body: str, position: dict[str, Any] | None
    ) -> Discussion: ...
    async def draft_notes(self, project_id: int, iid: int) -> list[DraftNote]: ...
    async def create_draft_note(
        self, project_id: int, iid: int, body: str, position: dict[str, Any] | None
    ) -> DraftNote: ...
    async def delete_draft_note(self, project_id: int, iid: int, draft_id: int) -> None: ...
    async def publish_drafts(self, project_id: int, iid: int) -> None: ...


class Rig(Protocol):
    """A GitLab with one merge request, and people who do things there."""

    door: Door
    project_id: int
    iid: int
    bot_id: int

    async def push(self) -> str:
        """Somebody pushes; returns the new head."""
        ...

    async def close(self) -> None: ...

    async def comment(self, text: str) -> None:
        """A person writes a comment."""
        ...

    def switch_off_drafts(self, status: int) -> None: ...


def point(old: int | None, new: int | None, code: tuple[int, int]) -> Point:
    return Point(old_line=old, new_line=new, line_code=line_code("a.py", *code))


ADDED = point(None, 2, (3, 2))
REMOVED = point(2, None, (2, 2))
CONTEXT = point(3, 3, (3, 3))
LAST = point(None, 4, (4, 4))
NO_LINE = point(None, 99, (99, 99))
HALF_CONTEXT = point(None, 3, (3, 3))


def at(end: Point, refs: DiffRefs, start: Point | None = None) -> dict[str, Any]:
    position = Position(old_path="a.py", new_path="a.py", end=end, start=start)
    return position_json(position, refs)


def on_file(refs: DiffRefs, path: str = "a.py") -> dict[str, Any]:
    return file_position_json(Position(old_path=path, new_path=path, end=LAST), refs)


class GitLabDoorContract:
    @pytest.fixture
    def rig(self) -> Rig:
        raise NotImplementedError

    @pytest.fixture
    def key(self, rig):
        return rig.project_id, rig.iid

    @pytest.fixture
    async def refs(self, rig, key):
        found = (await rig.door.merge_request(*key)).diff_refs
        assert found is not None
        return found

    async def test_the_current_user_is_the_bot(self, rig):
        me = await rig.door.current_user()
        assert (me.id, me.bot) == (rig.bot_id, True)

    async def test_a_merge_request_has_shas_branches_and_an_author(self, rig, key, refs):
        found = await rig.door.merge_request(*key)

        assert (found.project_id, found.iid) == key
        assert (found.state, found.draft, found.sha) == ("opened", False, refs.head_sha)
        assert (found.source_branch, found.target_branch) == ("topic", "main")
        assert (found.title, found.description) == ("Change a.py", "Because.")
        assert (found.author_username, found.source_project_id) == ("alice", rig.project_id)
        assert found.author_id not in (0, rig.bot_id)
        assert found.web_url.endswith(f"/-/merge_requests/{rig.iid}")

    async def test_a_project_says_where_to_clone_it(self, rig):
        found = await rig.door.project(rig.project_id)

        assert found.id == rig.project_id
        assert found.http_url_to_repo == f"{found.web_url}.git"
        assert (found.path_with_namespace, found.default_branch) == ("group/project", "main")

    async def test_what_is_not_there_is_not_found(self, rig, key):
        project_id, iid = key
        for call in (
            rig.door.merge_request(project_id, 999),
            rig.door.merge_request(999_999, iid),
            rig.door.project(999_999),
            rig.door.discussions(project_id, 999),
            rig.door.create_note(project_id, 999, "hello"),
            rig.door.update_note(*key, 999_999, "hello"),
            rig.door.delete_draft_note(*key, 999_999),
        ):
            with pytest.raises(NotFound):
                await call

    async def test_a_push_makes_a_version_that_is_listed_first(self, rig, key, refs):
        new = await rig.push()

        versions = await rig.door.versions(*key)
        assert [version.head_commit_sha for version in versions] == [new, refs.head_sha]
        assert versions[1].base_commit_sha == refs.base_sha
        assert (await rig.door.merge_request(*key)).sha == new
        assert [commit.id for commit in await rig.door.commits(*key)] == [new, refs.head_sha]

    async def test_a_closed_merge_request_says_so(self, rig, key):
        await rig.close()
        assert (await rig.door.merge_request(*key)).state == "closed"

    async def test_a_note_is_listed_as_ours_and_can_be_changed(self, rig, key):
        await rig.comment("from a person")
        created = await rig.door.create_note(*key, "first")
        changed = await rig.door.update_note(*key, created.id, "second")

        mine = [d for d in await rig.door.discussions(*key) if d.notes[0].author_id == rig.bot_id]
        assert changed.id == created.id
        assert [(d.individual_note, d.notes[0].body) for d in mine] == [(True, "second")]
        bodies = {note.body for note in await rig.door.notes(*key)}
        assert {"from a person", "second"} <= bodies

    async def test_a_note_of_quick_actions_only_is_invalid(self, rig, key):
        with pytest.raises(Invalid):
            await rig.door.create_note(*key, "/label ~bug")
        assert rig.bot_id not in {note.author_id for note in await rig.door.notes(*key)}

    async def test_an_empty_note_is_invalid(self, rig, key):
        with pytest.raises(Invalid):
            await rig.door.create_note(*key, "")

    @pytest.mark.parametrize("where", [ADDED, REMOVED, CONTEXT, LAST])
    async def test_a_discussion_sits_on_a_line_of_the_diff(self, rig, key, refs, where):
        position = at(where, refs)
        created = await rig.door.create_discussion(*key, "look here", position)

        found = [d for d in await rig.door.discussions(*key) if d.id == created.id]
        assert [len(discussion.notes) for discussion in found] == [1]
        note = found[0].notes[0]
        assert (note.type, note.body, note.resolved) == ("DiffNote", "look here", False)
        assert note.position is not None
        assert (note.position.old_line, note.position.new_line) == (where.old_line, where.new_line)

    async def test_a_discussion_spans_lines(self, rig, key, refs):
        position = at(LAST, refs, ADDED)
        created = await rig.door.create_discussion(*key, "these lines", position)
        assert created.notes[0].type == "DiffNote"

    async def test_a_discussion_about_a_file_needs_no_line(self, rig, key, refs):
        created = await rig.door.create_discussion(*key, "this file", on_file(refs))
        assert created.notes[0].type == "DiffNote"

    async def test_a_discussion_without_a_position_is_a_thread(self, rig, key):
        created = await rig.door.create_discussion(*key, "all of it", None)
        assert (created.individual_note, created.notes[0].type) == (False, "DiscussionNote")

    @pytest.mark.parametrize("where", [NO_LINE, HALF_CONTEXT])
    async def test_a_discussion_elsewhere_is_invalid(self, rig, key, refs, where):
        with pytest.raises(Invalid, match="line_code"):
            await rig.door.create_discussion(*key, "where?", at(where, refs))
        assert rig.bot_id not in {note.author_id for note in await rig.door.notes(*key)}

    async def test_a_discussion_about_another_file_is_invalid(self, rig, key, refs):
        with pytest.raises(Invalid):
            await rig.door.create_discussion(*key, "which?", on_file(refs, "b.py"))

    async def test_drafts_are_published_together(self, rig, key, refs):
        positions = [
            at(ADDED, refs),
            at(LAST, refs, ADDED),
            on_file(refs),
        ]
        created = [await rig.door.create_draft_note(*key, "draft", each) for each in positions]
        assert [draft.line_code for draft in created[:2]] == [ADDED.line_code, LAST.line_code]
        assert [d.id for d in await rig.door.draft_notes(*key)] == [d.id for d in created]
        assert "draft" not in {note.body for note in await rig.door.notes(*key)}

        await rig.door.publish_drafts(*key)

        assert await rig.door.draft_notes(*key) == []
        published = [d for d in await rig.door.discussions(*key) if d.notes[0].body == "draft"]
        assert [d.notes[0].author_id for d in published] == [rig.bot_id] * 3

    async def test_a_draft_outside_the_diff_is_taken_and_vanishes_at_publish(self, rig, key, refs):
        kept = await rig.door.create_draft_note(*key, "kept", at(ADDED, refs))
        lost = await rig.door.create_draft_note(*key, "lost", at(NO_LINE, refs))
        assert (kept.line_code, lost.line_code) == (ADDED.line_code, None)

        await rig.door.publish_drafts(*key)

        assert await rig.door.draft_notes(*key) == []
        ours = [n.body for n in await rig.door.notes(*key) if n.author_id == rig.bot_id]
        assert ours == ["kept"]

    async def test_a_deleted_draft_is_not_published(self, rig, key, refs):
        draft = await rig.door.create_draft_note(*key, "no", at(ADDED, refs))
        await rig.door.delete_draft_note(*key, draft.id)
        await rig.door.publish_drafts(*key)

        assert rig.bot_id not in {note.author_id for note in await rig.door.notes(*key)}
        with pytest.raises(NotFound):
            await rig.door.delete_draft_note(*key, draft.id)

    @pytest.mark.parametrize(("status", "kind"), [(403, Forbidden), (404, NotFound)])
    async def test_drafts_may_be_unavailable(self, rig, key, refs, status, kind):
        rig.switch_off_drafts(status)
        with pytest.raises(kind):
            await rig.door.draft_notes(*key)
        with pytest.raises(kind):
            await rig.door.create_draft_note(*key, "draft", at(ADDED, refs))
