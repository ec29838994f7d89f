"""What GitLab says, as far as we listen: small frozen structs with GitLab's own names.

Built by `connection` from JSON; held by the reviewer, the coder and the publisher. Unknown fields
are skipped, and a field that GitLab leaves null keeps its default here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, TypeVar

import msgspec

from libs.common.events.tasks import DiffRefs

T = TypeVar("T")


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    pass


class User(_Record, frozen=True, kw_only=True):
    """An account; `bot` is GitLab's own mark of access-token and service accounts."""

    id: int
    username: str
    bot: bool = False


class AccessToken(_Record, frozen=True, kw_only=True):
    """The token that asks; `expires_at` is the day on which it stops working."""

    scopes: frozenset[str] = frozenset()
    expires_at: date | None = None
    active: bool = True


class Project(_Record, frozen=True, kw_only=True):
    """A project; `http_url_to_repo` is empty where cloning over HTTP is switched off."""

    id: int
    path_with_namespace: str
    http_url_to_repo: str = ""
    web_url: str = ""
    default_branch: str = ""
    ci_config_path: str = ""
    """Where the CI file is when it is not `.gitlab-ci.yml`."""


class Member(_Record, frozen=True, kw_only=True):
    """A person's standing in a project, inherited roles included (`members/all`)."""

    id: int
    username: str = ""
    access_level: int = 0
    state: str = "active"
    expires_at: date | None = None
    """The first day on which the membership does not count any more."""


class Branch(_Record, frozen=True, kw_only=True):
    """A branch and who may write to it; `sha` is its tip."""

    name: str
    sha: str = ""
    protected: bool = False
    default: bool = False
    developers_can_push: bool = False
    developers_can_merge: bool = False


class Award(_Record, frozen=True, kw_only=True):
    """An emoji that somebody put on a note."""

    id: int
    name: str
    user_id: int = 0


class MergeRequest(_Record, frozen=True, kw_only=True):
    """A merge request as the API reports it now.

    `sha` and `diff_refs` follow a push with a delay, and `diff_refs` is None until the first diff
    is made (GitLab REST, merge requests). `source_project_id` is None when the fork is gone.
    """

    project_id: int
    iid: int
    state: str
    title: str
    source_branch: str
    target_branch: str
    draft: bool = False
    sha: str = ""
    diff_refs: DiffRefs | None = None
    source_project_id: int | None = None
    allow_collaboration: bool = False
    """The fork takes commits from those who may merge into the target branch."""
    description: str = ""
    author_username: str = ""
    author_id: int = 0
    web_url: str = ""
    detailed_merge_status: str = ""
    updated_at: datetime | None = None


class Version(_Record, frozen=True, kw_only=True):
    """One version of the diff; a push makes a new one. The list is newest first."""

    id: int
    head_commit_sha: str
    base_commit_sha: str = ""
    start_commit_sha: str = ""
    created_at: datetime | None = None


class Commit(_Record, frozen=True, kw_only=True):
    """A commit of the merge request; `id` is its sha."""

    id: str
    title: str = ""
    message: str = ""


class NotePosition(_Record, frozen=True, kw_only=True):
    """Where a note sits in the diff; GitLab moves it along with later pushes."""

    position_type: str = "text"
    old_path: str | None = None
    new_path: str | None = None
    old_line: int | None = None
    new_line: int | None = None
    head_sha: str | None = None


class Note(_Record, frozen=True, kw_only=True):
    """A comment; `type` is None for a plain one, else `DiscussionNote` or `DiffNote`."""

    id: int
    body: str = ""
    author_id: int = 0
    author_username: str = ""
    system: bool = False
    internal: bool = False
    resolvable: bool = False
    resolved: bool = False
    type: str | None = None
    position: NotePosition | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Discussion(_Record, frozen=True, kw_only=True):
    """A thread, or one plain comment (`individual_note`)."""

    id: str
    individual_note: bool = False
    notes: tuple[Note, ...] = ()


class DraftNote(_Record, frozen=True, kw_only=True):
    """A comment that only its author sees until it is published.

    A text position whose `line_code` is None fell outside the diff: GitLab drops such a draft at
    publish without a word (gitlab-org/gitlab#579609).
    """

    id: int
    note: str = ""
    line_code: str | None = None
    discussion_id: str | None = None


_SPELLED_OUT = {
    "author": {"id": "author_id", "username": "author_username"},
    "user": {"id": "user_id"},
    "commit": {"id": "sha"},
}
"""Fields of nested objects, by the name that they have in the structs above."""


def read(kind: type[T], raw: Any) -> T:
    """`raw` JSON as a struct; raises `msgspec.ValidationError` when it is none."""
    return msgspec.convert(_plain(raw), kind)


def _plain(raw: Any) -> Any:
    """Without nulls, and with what `_SPELLED_OUT` names as fields of its own, at every depth."""
    if isinstance(raw, list):
        return [_plain(item) for item in raw]
    if not isinstance(raw, Mapping):
        return raw
    known = {name: _plain(value) for name, value in raw.items() if value is not None}
    for nested, names in _SPELLED_OUT.items():
        inner = known.get(nested)
        if isinstance(inner, dict):
            known |= {flat: inner[name] for name, flat in names.items() if name in inner}
    refs = known.get("diff_refs")
    if isinstance(refs, dict) and len(refs) < 3:
        del known["diff_refs"]
    return known
