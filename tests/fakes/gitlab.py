"""GitLab in memory, as the reviewer, the coder and the publisher see it through the door.

Held to `tests.contract.gitlab_door` together with the real door, so its rules are GitLab's: bad
lines are refused in discussions, taken in drafts and lost at publish.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from libs.common.diff import line_code, parse_diff
from libs.common.events.tasks import DiffRefs
from libs.common.gitlab.errors import (
    AlreadyThere,
    Forbidden,
    GitLabError,
    Invalid,
    NotFound,
)
from libs.common.gitlab.models import (
    Award,
    Commit,
    Discussion,
    DraftNote,
    MergeRequest,
    Note,
    NotePosition,
    User,
    Version,
    read,
)
from tests.fakes.gitlab_projects import ALICE, BASE_SHA, BOT, URL, FakeProjects

__all__ = ["ALICE", "BASE_SHA", "BOT", "URL", "Draft", "FakeGitLab", "Held"]
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


class FakeGitLab(FakeProjects):
    """Projects as `FakeProjects` has them, and their merge requests.

    `awards_on[note_id]` are the emoji on a note. A merge request of the bot's is held like others.
    """

    def __init__(self) -> None:
        super().__init__()
        self.merge_requests: dict[tuple[int, int], Held] = {}
        self.awards_on: dict[int, list[Award]] = {}
        self.drafts_status: int | None = None
        self._last_id = 100

    # --- what people and tests do ---------------------------------------------------

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
        self._moved(held)
        return held

    def push(self, held: Held, head_sha: str, *, created_at: datetime | None = None) -> None:
        """A new head of the source branch, by anybody; the version is as old as `created_at`."""
        refs = held.merge_request.diff_refs
        assert refs is not None
        moved = msgspec.structs.replace(refs, head_sha=head_sha)
        self.change(held, sha=head_sha, diff_refs=moved)
        held.versions.insert(0, self._version(moved, created_at))
        held.commits.insert(0, Commit(id=head_sha, title="More", message="More\n"))
        self._moved(held)

    def change(self, held: Held, **fields: Any) -> None:
        held.merge_request = msgspec.structs.replace(held.merge_request, **fields)

    def comment(self, held: Held, body: str, author: User = ALICE, **fields: Any) -> Discussion:
        """A plain comment; `fields` are other fields of its note (`created_at`, `system`)."""
        return self._add_discussion(held, body, None, author, kind=None, **fields)

    def bodies(self, held: Held) -> list[str]:
        """The texts of all notes, in the order of their discussions."""
        return [note.body for discussion in held.discussions for note in discussion.notes]

    # --- the port -------------------------------------------------------------------

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

    async def discussion(self, project_id: int, iid: int, discussion_id: str) -> Discussion:
        return _discussion(self._held("discussion", project_id, iid), discussion_id)

    async def reply(self, project_id: int, iid: int, discussion_id: str, body: str) -> Note:
        held = self._held("reply", project_id, iid)
        found = _discussion(held, discussion_id)
        _check_body(body)
        # A reply makes a thread of a plain comment.
        first = found.notes[0]
        kind = first.type or "DiscussionNote"
        first = msgspec.structs.replace(first, type=kind, resolvable=True)
        note = self._note(body, self.me, kind, position=first.position)
        held.discussions[held.discussions.index(found)] = msgspec.structs.replace(
            found, individual_note=False, notes=(first, *found.notes[1:], note)
        )
        self._answered("reply")
        return note

    async def awards(self, project_id: int, iid: int, note_id: int) -> list[Award]:
        return list(self._awards("awards", project_id, iid, note_id))

    async def award(self, project_id: int, iid: int, note_id: int, name: str) -> Award | None:
        given = self._awards("award", project_id, iid, note_id)
        if any((each.name, each.user_id) == (name, self.me.id) for each in given):
            return None
        created = Award(id=self._next_id(), name=name, user_id=self.me.id)
        given.append(created)
        self._answered("award")
        return created

    async def remove_award(self, project_id: int, iid: int, note_id: int, award_id: int) -> None:
        try:
            given = self._awards("remove_award", project_id, iid, note_id)
        except NotFound:
            return
        given[:] = [each for each in given if each.id != award_id]
        self._answered("remove_award")

    async def merge_requests_from(self, project_id: int, source_branch: str) -> list[MergeRequest]:
        self._called("merge_requests_from")
        self._project(project_id)
        every = [held.merge_request for held in self.merge_requests.values()]
        found = [
            each
            for each in every
            if (each.project_id, each.source_branch) == (project_id, source_branch)
        ]
        return sorted(found, key=lambda each: each.iid, reverse=True)

    async def create_merge_request(
        self,
        project_id: int,
        *,
        source_branch: str,
        target_branch: str,
        title: str,
        description: str,
    ) -> MergeRequest:
        self._called("create_merge_request")
        self._project(project_id)
        self._check_new(project_id, source_branch, target_branch)
        tips = [self.branches[project_id, name].sha for name in (target_branch, source_branch)]
        held = self.add_merge_request(
            DiffRefs(base_sha=tips[0], start_sha=tips[0], head_sha=tips[1]),
            project_id=project_id,
            iid=max((iid for at, iid in self.merge_requests if at == project_id), default=0) + 1,
            source_branch=source_branch,
            target_branch=target_branch,
            title=title,
            description=description,
            draft=title.lower().startswith("draft:"),
            author_id=self.me.id,
            author_username=self.me.username,
        )
        self._answered("create_merge_request")
        return held.merge_request

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

    def _held(self, name: str, project_id: int, iid: int, *, drafts: bool = False) -> Held:
        self._called(name)
        if drafts and self.drafts_status is not None:
            raise _unavailable(self.drafts_status)
        if (project_id, iid) not in self.merge_requests:
            raise NotFound("GitLab answered 404: 404 Not found", status=404)
        return self.merge_requests[project_id, iid]

    def _awards(self, name: str, project_id: int, iid: int, note_id: int) -> list[Award]:
        held = self._held(name, project_id, iid)
        if note_id not in {note.id for each in held.discussions for note in each.notes}:
            raise NotFound("GitLab answered 404: 404 Note Not Found", status=404)
        return self.awards_on.setdefault(note_id, [])

    def _check_new(self, project_id: int, source_branch: str, target_branch: str) -> None:
        if source_branch == target_branch:
            raise Invalid("GitLab answered 422: same branch for source and target", status=422)
        if (project_id, source_branch) not in self.branches:
            raise Invalid("GitLab answered 400: source branch does not exist", status=400)
        for (at, iid), held in self.merge_requests.items():
            known = held.merge_request
            same = (known.source_branch, known.target_branch) == (source_branch, target_branch)
            if at == project_id and same and known.state == "opened":
                said = "Another open merge request already exists for this source branch"
                raise AlreadyThere(f'GitLab answered 409: ["{said}: !{iid}"]', status=409)

    def _moved(self, held: Held) -> None:
        """The source branch is where the merge request's head is."""
        found = held.merge_request
        if found.source_project_id in self.projects:
            self.set_branch(found.source_project_id, found.source_branch, found.sha)

    def _add_discussion(
        self,
        held: Held,
        body: str,
        position: dict[str, Any] | None,
        author: User,
        *,
        kind: str | None,
        **fields: Any,
    ) -> Discussion:
        where = read(NotePosition, position) if position else None
        note = self._note(body, author, kind, position=where, **fields)
        created = Discussion(id=f"{note.id:040x}", individual_note=kind is None, notes=(note,))
        held.discussions.append(created)
        return created

    def _note(self, body: str, author: User, kind: str | None, **fields: Any) -> Note:
        return Note(
            id=self._next_id(),
            body=body,
            author_id=author.id,
            author_username=author.username,
            type=kind,
            resolvable=kind is not None,
            **fields,
        )

    def _version(self, refs: DiffRefs, created_at: datetime | None = None) -> Version:
        return Version(
            id=self._next_id(),
            head_commit_sha=refs.head_sha,
            base_commit_sha=refs.base_sha,
            start_commit_sha=refs.start_sha,
            created_at=created_at,
        )

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id


def _unavailable(status: int) -> GitLabError:
    kind = Forbidden if status == 403 else NotFound
    return kind(f"GitLab answered {status}: no draft notes here", status=status)


def _discussion(held: Held, discussion_id: str) -> Discussion:
    for discussion in held.discussions:
        if discussion.id == discussion_id:
            return discussion
    raise NotFound("GitLab answered 404: 404 Discussion Not Found", status=404)


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
