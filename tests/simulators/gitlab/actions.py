"""What people do to merge requests, for tests and for the control side; and what they see.

Base of `simulator.SimulatedGitLab`. Each action is alice's unless told otherwise, and fires the
webhooks of a real one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import comments
from . import merge_requests as life
from .server import Server

if TYPE_CHECKING:
    from pathlib import Path

    from .state import Discussion, DraftNote, MergeRequest, Note, Project, User


class Actions(Server):
    """A server with alice, a person, and copilot-agent, a bot."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.alice = self.world.add_user("alice", name="Alice Adams")
        self.bot = self.world.add_user("copilot-agent", name="Copilot Agent", bot=True)

    async def open_merge_request(
        self,
        project: Project,
        *,
        source_branch: str,
        target_branch: str | None = None,
        title: str = "Change files",
        description: str = "",
        draft: bool = False,
        author: User | None = None,
        source_project: Project | None = None,
        allow_collaboration: bool = False,
    ) -> MergeRequest:
        return life.open_merge_request(
            self.world,
            author or self.alice,
            source_project=source_project or project,
            project=project,
            source_branch=source_branch,
            target_branch=target_branch or project.default_branch,
            title=f"Draft: {title}" if draft else title,
            description=description,
            allow_collaboration=allow_collaboration,
        )

    async def close(self, merge_request: MergeRequest) -> None:
        life.change_state(self.world, merge_request, self.alice, "closed")

    async def reopen(self, merge_request: MergeRequest) -> None:
        life.change_state(self.world, merge_request, self.alice, "opened")

    async def merge(self, merge_request: MergeRequest) -> None:
        life.merge(self.world, merge_request, self.alice)

    async def mark_ready(self, merge_request: MergeRequest) -> None:
        life.set_draft(self.world, merge_request, self.alice, draft=False)

    async def mark_draft(self, merge_request: MergeRequest) -> None:
        life.set_draft(self.world, merge_request, self.alice, draft=True)

    async def retarget(self, merge_request: MergeRequest, target_branch: str) -> None:
        life.edit(self.world, merge_request, self.alice, target_branch=target_branch)

    async def set_title(self, merge_request: MergeRequest, title: str) -> None:
        life.edit(self.world, merge_request, self.alice, title=title)

    async def edit(self, merge_request: MergeRequest, **fields: Any) -> None:
        """Change title, description, target_branch, labels, assignees, reviewers; one hook.

        With no field the hook has empty changes.
        """
        life.edit(self.world, merge_request, self.alice, **fields)

    async def comment(
        self,
        merge_request: MergeRequest,
        text: str,
        *,
        as_user: User | None = None,
        discussion: Discussion | None = None,
    ) -> Note | None:
        """Write a plain comment, or a reply; None when it was commands only."""
        who = as_user or self.alice
        if discussion is not None:
            return comments.reply(self.world, merge_request, who, discussion, text).note
        return comments.post(self.world, merge_request, who, comments.NewNote(text)).note

    async def edit_comment(self, merge_request: MergeRequest, note: Note, text: str) -> None:
        comments.edit(self.world, merge_request, note, text)

    async def resolve(self, merge_request: MergeRequest, discussion: Discussion) -> None:
        comments.set_resolved(
            self.world, merge_request, self.alice, discussion.notes, resolved=True
        )

    def delete_merge_request(self, merge_request: MergeRequest) -> None:
        del merge_request.project.merge_requests[merge_request.iid]

    def delete_project(self, project: Project) -> None:
        del self.world.projects[project.id]

    # --- what there is --------------------------------------------------------------

    def discussions(self, merge_request: MergeRequest) -> list[Discussion]:
        """Return what a person sees: threads and single comments, without system notes."""
        return [d for d in merge_request.discussions() if not d.notes[0].system]

    def notes(self, merge_request: MergeRequest) -> list[Note]:
        return [note for note in merge_request.notes if not note.system]

    def drafts(self, merge_request: MergeRequest) -> list[DraftNote]:
        return list(merge_request.drafts)
