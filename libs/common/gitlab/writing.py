"""What we change in GitLab's merge requests. Part of `client`, called by the publisher.

Every call is sent once: after a time-out or a 5xx it may have been done (`maybe_done`), and the
caller looks before it does it again.
"""

from __future__ import annotations

from typing import Any

from libs.common.gitlab.connection import Connection, quoted
from libs.common.gitlab.errors import AlreadyThere, Conflict, NotFound
from libs.common.gitlab.merge_requests import mr_path
from libs.common.gitlab.models import Award, Discussion, DraftNote, MergeRequest, Note

PositionJson = dict[str, Any]
TAKEN = "has already been taken"
"""GitLab says 404 with these words to the second emoji of one name by one user."""


class Writing(Connection):
    """The calls that write notes, threads, drafts, emoji and merge requests."""

    async def create_note(self, project_id: int, iid: int, body: str) -> Note:
        return await self._send(Note, "post", mr_path(project_id, iid, "notes"), {"body": body})

    async def update_note(self, project_id: int, iid: int, note_id: int, body: str) -> Note:
        path = mr_path(project_id, iid, f"notes/{note_id}")
        return await self._send(Note, "put", path, {"body": body})

    async def create_discussion(
        self, project_id: int, iid: int, body: str, position: PositionJson | None
    ) -> Discussion:
        """A thread, at a position or on the merge request; `Invalid` when there is no such line."""
        content = {"body": body} | ({"position": position} if position else {})
        return await self._send(
            Discussion, "post", mr_path(project_id, iid, "discussions"), content
        )

    async def create_draft_note(
        self, project_id: int, iid: int, body: str, position: PositionJson | None
    ) -> DraftNote:
        """A draft; GitLab takes lines that do not exist, see `DraftNote`."""
        content = {"note": body} | ({"position": position} if position else {})
        return await self._send(DraftNote, "post", mr_path(project_id, iid, "draft_notes"), content)

    async def delete_draft_note(self, project_id: int, iid: int, draft_id: int) -> None:
        path = mr_path(project_id, iid, f"draft_notes/{draft_id}")
        await self._act("delete", path)

    async def publish_drafts(self, project_id: int, iid: int) -> None:
        """Publish all own drafts; those that GitLab cannot place vanish without an error."""
        path = mr_path(project_id, iid, "draft_notes/bulk_publish")
        await self._act("post", path)

    async def reply(self, project_id: int, iid: int, discussion_id: str, body: str) -> Note:
        """A note in a thread; makes a thread of a plain comment."""
        path = mr_path(project_id, iid, f"discussions/{quoted(discussion_id)}/notes")
        return await self._send(Note, "post", path, {"body": body})

    async def award(self, project_id: int, iid: int, note_id: int, name: str) -> Award | None:
        """Our emoji on a note; None when it is there already."""
        path = mr_path(project_id, iid, f"notes/{note_id}/award_emoji")
        try:
            return await self._send(Award, "post", path, {"name": name})
        except NotFound as error:
            if TAKEN in str(error):
                return None
            raise

    async def remove_award(self, project_id: int, iid: int, note_id: int, award_id: int) -> None:
        """Take one of our own emoji away; one that is gone already is as good."""
        path = mr_path(project_id, iid, f"notes/{note_id}/award_emoji/{award_id}")
        try:
            await self._act("delete", path)
        except NotFound:
            return

    async def create_merge_request(
        self,
        project_id: int,
        *,
        source_branch: str,
        target_branch: str,
        title: str,
        description: str,
    ) -> MergeRequest:
        """From one branch of the project into another; a title with `Draft: ` makes a draft.

        Raises `AlreadyThere` when an open one joins the same two branches.
        """
        content = {
            "source_branch": source_branch,
            "target_branch": target_branch,
            "title": title,
            "description": description,
        }
        path = f"/projects/{project_id}/merge_requests"
        try:
            return await self._send(MergeRequest, "post", path, content)
        except Conflict as error:
            raise AlreadyThere(str(error), status=error.status) from None
