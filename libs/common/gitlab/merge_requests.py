"""What GitLab says of merge requests, their notes and their emoji. Part of `client`; reads only."""

from __future__ import annotations

from urllib.parse import urlencode

from libs.common.gitlab.connection import PER_PAGE, Connection, quoted
from libs.common.gitlab.models import (
    Award,
    Commit,
    Discussion,
    DraftNote,
    MergeRequest,
    Note,
    Version,
)


def mr_path(project_id: int, iid: int, rest: str = "") -> str:
    path = f"/projects/{project_id}/merge_requests/{iid}"
    return f"{path}/{rest}" if rest else path


class MergeRequests(Connection):
    """The calls that read a merge request and what people wrote on it."""

    async def merge_requests_from(self, project_id: int, source_branch: str) -> list[MergeRequest]:
        """Into this project, in every state, newest first; at most the first hundred.

        Those of forks with a branch of that name too: see their `source_project_id`.
        """
        asked = {
            "source_branch": source_branch,
            "state": "all",
            "order_by": "created_at",
            "sort": "desc",
            "per_page": PER_PAGE,
        }
        path = f"/projects/{project_id}/merge_requests?{urlencode(asked)}"
        return await self._page(MergeRequest, path)

    async def merge_request(self, project_id: int, iid: int) -> MergeRequest:
        return await self._get(MergeRequest, mr_path(project_id, iid))

    async def versions(self, project_id: int, iid: int) -> list[Version]:
        """The versions of the diff, newest first."""
        return await self._list(Version, mr_path(project_id, iid, "versions"))

    async def commits(self, project_id: int, iid: int) -> list[Commit]:
        """The commits of the merge request, newest first."""
        return await self._list(Commit, mr_path(project_id, iid, "commits"))

    async def notes(self, project_id: int, iid: int) -> list[Note]:
        return await self._list(Note, mr_path(project_id, iid, "notes"))

    async def discussions(self, project_id: int, iid: int) -> list[Discussion]:
        return await self._list(Discussion, mr_path(project_id, iid, "discussions"))

    async def discussion(self, project_id: int, iid: int, discussion_id: str) -> Discussion:
        """`NotFound` when it is not of this merge request."""
        path = mr_path(project_id, iid, f"discussions/{quoted(discussion_id)}")
        return await self._get(Discussion, path)

    async def awards(self, project_id: int, iid: int, note_id: int) -> list[Award]:
        """The emoji on a note, everybody's."""
        return await self._list(Award, mr_path(project_id, iid, f"notes/{note_id}/award_emoji"))

    async def draft_notes(self, project_id: int, iid: int) -> list[DraftNote]:
        """Our own drafts; GitLab shows nobody else's."""
        return await self._list(DraftNote, mr_path(project_id, iid, "draft_notes"))
