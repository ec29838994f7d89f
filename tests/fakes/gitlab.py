"""GitLab in memory, as the reviewer and the publisher see it through the door.

Held to `tests.contract.gitlab_door` together with the real door, so its rules are GitLab's: bad
lines are refused in discussions, taken in drafts and lost at publish.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from libs.common.diff import line_code, parse_diff
from libs.common.errors import AgentError
from libs.common.events.tasks import DiffRefs
from libs.common.gitlab.errors import Forbidden, GitLabError, Invalid, NotFound, TimedOut
from libs.common.gitlab.models import (
    Commit,
    Discussion,
    DraftNote,
    MergeRequest,
    Note,
    NotePosition,
    Project,
    User,
    Version,
    read,
)

BOT = User(id=7, username="copilot-agent", bot=True)
ALICE = User(id=8, username="alice")
URL = "https://gitlab.test"
_LINE_CODE = (
    """400 Bad request - Note {:line_code=>["can't be blank", "must be a valid line code"]}"""
)


@dataclass
class Draft:
    """A draft with the position it was given; `line_code` as `DraftNote` has it."""

    note: DraftNote
    position: dict[str, Any] | None


@dataclass
class Held:
    """One merge request and all that hangs on it; tests may change any of it."""

    merge_request: MergeRequest
    diff: str
    versions: list[Version]
    commits: list[Commit]
    discussions: list[Discussion] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)


class FakeGitLab:
    """Every call is written to `calls`.

    Each error put into `fail_next` is raised by one later call before that call does anything.
    Each name put into `lose_answers` lets one later call of that name do its work and time out.
    """

    def __init__(self) -> None:
        self.me = BOT
        self.projects: dict[int, Project] = {}
        self.merge_requests: dict[tuple[int, int], Held] = {}
        self.calls: list[str] = []
        self.fail_next: list[AgentError] = []
        self.lose_answers: list[str] = []
        self.drafts_status: int | None = None
        self._last_id = 100

    # --- what people and tests do ---------------------------------------------------

    def add_project(self, project_id: int = 42, path: str = "group/project") -> Project:
        project = Project(
            id=project_id,
            path_with_namespace=path,
            http_url_to_repo=f"{URL}/{path}.git",
            web_url=f"{URL}/{path}",
            default_branch="main",
        )
        self.projects[project_id] = project
        return project

    def add_merge_request(
        self, refs: DiffRefs, *, project_id: int = 42, iid: int = 7, diff: str = "", **fields: Any
    ) -> Held:
        """An open merge request with one version; `diff` is a unified diff, `fields` override."""
        project = self.projects.get(project_id) or self.add_project(project_id)
        known: dict[str, Any] = {
            "state": "opened",
            "title": "Change a.py",
            "description": "Because.",
            "source_branch": "topic",
            "target_branch": "main",
            "sha": refs.head_sha,
            "diff_refs": refs,
            "source_project_id": project_id,
            "author_username": ALICE.username,
            "author_id": ALICE.id,
            "web_url": f"{project.web_url}/-/merge_requests/{iid}",
            "detailed_merge_status": "mergeable",
        }
        held = Held(
            MergeRequest(project_id=project_id, iid=iid, **(known | fields)),
            diff,
            [self._version(refs)],
            [Commit(id=refs.head_sha, title="Change a.py", message="Change a.py\n")],
        )
        self.merge_requests[project_id, iid] = held
        return held

    def push(self, held: Held, head_sha: str) -> None:
        refs = held.merge_request.diff_refs
        assert refs is not None
        moved = msgspec.structs.replace(refs, head_sha=head_sha)
        self.change(held, sha=head_sha, diff_refs=moved)
        held.versions.insert(0, self._version(moved))
        held.commits.insert(0, Commit(id=head_sha, title="More", message="More\n"))

    def change(self, held: Held, **fields: Any) -> None:
        held.merge_request = msgspec.structs.replace(held.merge_request, **fields)

    def comment(self, held: Held, body: str, author: User = ALICE) -> Discussion:
        return self._add_discussion(held, body, None, author, kind=None)

    def bodies(self, held: Held) -> list[str]:
        """The texts of all notes, in the order of their discussions."""
        return [note.body for discussion in held.discussions for note in discussion.notes]

    # --- the port -------------------------------------------------------------------

    async def current_user(self) -> User:
        self._called("current_user")
        return self.me

    async def project(self, project_id: int) -> Project:
        self._called("project")
        if project_id not in self.projects:
            raise NotFound("GitLab answered 404: 404 Project Not Found", status=404)
        return self.projects[project_id]

    async def merge_request(self, project_id: int, iid: int) -> MergeRequest:
        return self._held("merge_request", project_id, iid).merge_request

    async def versions(self, project_id: int, iid: int) -> list[Version]:
        return list(self._held("versions", project_id, iid).versions)

    async def commits(self, project_id: int, iid: int) -> list[Commit]:
        return list(self._held("commits", project_id, iid).commits)

    async def notes(self, project_id: int, iid: int) -> list[Note]:
        held = self._held("notes", project_id, iid)
        return [note for discussion in held.discussions for note in discussion.notes]

    async def discussions(self, project_id: int, iid: int) -> list[Discussion]:
        return list(self._held("discussions", project_id, iid).discussions)

    async def create_note(self, project_id: int, iid: int, body: str) -> Note:
        held = self._held("create_note", project_id, iid)
        _check_body(body)
        created = self._add_discussion(held, body, None, self.me, kind=None).notes[0]
        self._answered("create_note")
        return created

    async def update_note(self, project_id: int, iid: int, note_id: int, body: str) -> Note:
        held = self._held("update_note", project_id, iid)
        _check_body(body)
        for at, discussion in enumerate(held.discussions):
            for note in discussion.notes:
                if note.id == note_id and note.author_id == self.me.id:
                    changed = msgspec.structs.replace(note, body=body)
                    notes = tuple(changed if n.id == note_id else n for n in discussion.notes)
                    held.discussions[at] = msgspec.structs.replace(discussion, notes=notes)
                    self._answered("update_note")
                    return changed
        raise NotFound("GitLab answered 404: 404 Note Not Found", status=404)

    async def create_discussion(
        self, project_id: int, iid: int, body: str, position: dict[str, Any] | None
    ) -> Discussion:
        held = self._held("create_discussion", project_id, iid)
        _check_body(body)
        if position and not _is_placed(held, position):
            raise Invalid(f"GitLab answered 400: {_LINE_CODE}", status=400)
        kind = "DiffNote" if position else "DiscussionNote"
        created = self._add_discussion(held, body, position, self.me, kind=kind)
        self._answered("create_discussion")
        return created

    async def draft_notes(self, project_id: int, iid: int) -> list[DraftNote]:
        held = self._held("draft_notes", project_id, iid, drafts=True)
        return [draft.note for draft in held.drafts]

    async def create_draft_note(
        self, project_id: int, iid: int, body: str, position: dict[str, Any] | None
    ) -> DraftNote:
        held = self._held("create_draft_note", project_id, iid, drafts=True)
        code = _line_code(held, position) if position else None
        draft = DraftNote(id=self._next_id(), note=body, line_code=code)
        held.drafts.append(Draft(draft, position))
        self._answered("create_draft_note")
        return draft

    async def delete_draft_note(self, project_id: int, iid: int, draft_id: int) -> None:
        held = self._held("delete_draft_note", project_id, iid, drafts=True)
        kept = [draft for draft in held.drafts if draft.note.id != draft_id]
        if len(kept) == len(held.drafts):
            raise NotFound("GitLab answered 404: 404 Not found", status=404)
        held.drafts = kept
        self._answered("delete_draft_note")

    async def publish_drafts(self, project_id: int, iid: int) -> None:
        held = self._held("publish_drafts", project_id, iid, drafts=True)
        drafts, held.drafts = held.drafts, []
        for draft in drafts:
            if draft.position is None or _is_placed(held, draft.position):
                kind = "DiffNote" if draft.position else "DiscussionNote"
                self._add_discussion(held, draft.note.note, draft.position, self.me, kind=kind)
        self._answered("publish_drafts")

    # --- inside ---------------------------------------------------------------------

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.fail_next:
            raise self.fail_next.pop(0)

    def _answered(self, name: str) -> None:
        if name in self.lose_answers:
            self.lose_answers.remove(name)
            raise TimedOut("GitLab did not answer in time", maybe_done=True)

    def _held(self, name: str, project_id: int, iid: int, *, drafts: bool = False) -> Held:
        self._called(name)
        if drafts and self.drafts_status is not None:
            raise _unavailable(self.drafts_status)
        if (project_id, iid) not in self.merge_requests:
            raise NotFound("GitLab answered 404: 404 Not found", status=404)
        return self.merge_requests[project_id, iid]

    def _add_discussion(
        self,
        held: Held,
        body: str,
        position: dict[str, Any] | None,
        author: User,
        *,
        kind: str | None,
    ) -> Discussion:
        note = Note(
            id=self._next_id(),
            body=body,
            author_id=author.id,
            author_username=author.username,
            type=kind,
            resolvable=kind is not None,
            position=read(NotePosition, position) if position else None,
        )
        created = Discussion(id=f"{note.id:040x}", individual_note=kind is None, notes=(note,))
        held.discussions.append(created)
        return created

    def _version(self, refs: DiffRefs) -> Version:
        return Version(
            id=self._next_id(),
            head_commit_sha=refs.head_sha,
            base_commit_sha=refs.base_sha,
            start_commit_sha=refs.start_sha,
        )

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id


def _unavailable(status: int) -> GitLabError:
    kind = Forbidden if status == 403 else NotFound
    return kind(f"GitLab answered {status}: no draft notes here", status=status)


def _check_body(body: str) -> None:
    if not body.strip():
        raise Invalid("GitLab answered 400: body is empty", status=400)
    if all(re.match(r"/[a-z]", line) for line in body.strip().splitlines()):
        raise Invalid("GitLab took the text for quick actions and made no note of it")


def _is_placed(held: Held, position: dict[str, Any]) -> bool:
    if position["position_type"] == "file":
        return _file(held, position) is not None
    return _line_code(held, position) is not None


def _line_code(held: Held, position: dict[str, Any]) -> str | None:
    found = _file(held, position)
    if found is None or position["position_type"] == "file":
        return None
    wanted = position.get("old_line"), position.get("new_line")
    for hunk in found.hunks:
        for line in hunk.lines:
            if (line.old_line, line.new_line) == wanted:
                return line_code(found.new_path, line.old, line.new)
    return None


def _file(held: Held, position: dict[str, Any]) -> Any:
    wanted = position["old_path"], position["new_path"]
    files = parse_diff(held.diff).files
    return next((file for file in files if (file.old_path, file.new_path) == wanted), None)
