"""What Jira says, as far as we listen: small frozen structs, the same for Cloud and Data Center.

Built by `reading` from JSON; held by ingest (facts) and the publisher (effects).
"""

from __future__ import annotations

from datetime import datetime

import msgspec


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    pass


class User(_Record, frozen=True, kw_only=True):
    """An account; `id` is the accountId on Cloud and the user name on Data Center.

    `email` is empty where the person hides it. An empty `id` is somebody whom Jira does not name.
    """

    id: str = ""
    display_name: str = ""
    email: str = ""


class Issue(_Record, frozen=True, kw_only=True):
    """An issue as Jira reports it now; the search may lag behind.

    `key` is another than the one asked for when the issue has been moved to another project.
    `description` is text, at most 64 Ki characters. `security_level` names the level that
    hides the issue from some people, empty for an open one (SR-10).
    """

    key: str
    id: str = ""
    summary: str = ""
    description: str = ""
    status: str = ""
    status_id: str = ""
    issue_type: str = ""
    labels: tuple[str, ...] = ()
    creator: User = User()
    created: datetime | None = None
    updated: datetime | None = None
    security_level: str = ""
    web_url: str = ""

    @property
    def project_key(self) -> str:
        return self.key.rpartition("-")[0]

    @property
    def number(self) -> int:
        return int(self.key.rpartition("-")[2])


class ChangeItem(_Record, frozen=True, kw_only=True):
    """One field of a change; ids and names as they were then."""

    field: str
    from_id: str = ""
    from_name: str = ""
    to_id: str = ""
    to_name: str = ""


class Change(_Record, frozen=True, kw_only=True):
    """One entry of an issue's history."""

    id: str
    author: User = User()
    created: datetime | None = None
    items: tuple[ChangeItem, ...] = ()


class Transition(_Record, frozen=True, kw_only=True):
    """A way out of the status that an issue is in; ids differ from workflow to workflow."""

    id: str
    name: str = ""
    to_status: str = ""
    to_status_id: str = ""
    has_screen: bool = False


class Comment(_Record, frozen=True, kw_only=True):
    """A comment as text; `restricted` when only some people see it (SR-10: never quoted)."""

    id: str
    author: User = User()
    body: str = ""
    created: datetime | None = None
    restricted: bool = False
