"""What `gca doctor` asks of Jira besides what services ask: the statuses of a project's workflows.

Reads only. Built by `services.ops`; every call raises only `libs.common.jira.errors`.
"""

from __future__ import annotations

import msgspec

from libs.common.jira.client import JiraClient
from libs.common.jira.errors import Invalid, Unavailable
from libs.common.jira.jql import PROJECT_KEY


class _Status(msgspec.Struct):
    name: str = ""


class _IssueType(msgspec.Struct):
    statuses: list[_Status] = []


class JiraInspection(JiraClient):
    """A client with the doctor's questions; needs no more than the login it looks at."""

    async def statuses(self, project_key: str) -> frozenset[str]:
        """Every status that an issue of this project can be in, whatever its type.

        Raises `NotFound` for a project that is not there, or not for us to see.
        """
        if not PROJECT_KEY.fullmatch(project_key):
            raise Invalid(f"{project_key[:60]!r} is no key of a Jira project")
        raw = await self._http.read(f"/project/{project_key}/statuses")
        try:
            found = msgspec.convert(raw, list[_IssueType])
        except msgspec.ValidationError:
            raise Unavailable("Jira's answer makes no sense; check JIRA_URL") from None
        return frozenset(status.name for kind in found for status in kind.statuses)
