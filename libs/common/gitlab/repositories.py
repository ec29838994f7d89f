"""What GitLab says of projects, branches and files. Part of `client`; reads only."""

from __future__ import annotations

from urllib.parse import urlencode

import gitlab
import msgspec
import requests

from libs.common.gitlab.backend import StrangeAnswer
from libs.common.gitlab.connection import Connection, quoted
from libs.common.gitlab.errors import Invalid, NotFound
from libs.common.gitlab.models import Branch, Project

LARGEST_FILE = 1 << 20
"""Bytes; a larger file is refused, as half of one says nothing."""


class _Rule(msgspec.Struct):
    name: str


class Repositories(Connection):
    """The calls that read a project and its repository."""

    async def project(self, project_id: int) -> Project:
        return await self._get(Project, f"/projects/{project_id}")

    async def branch(self, project_id: int, name: str) -> Branch | None:
        """None when there is none, or no project for us."""
        path = f"/projects/{project_id}/repository/branches/{quoted(name)}"
        try:
            return await self._get(Branch, path)
        except NotFound:
            return None

    async def protected_branches(self, project_id: int) -> list[str]:
        """Names and patterns with `*`; `Forbidden` below the role that may read them."""
        rules = await self._list(_Rule, f"/projects/{project_id}/protected_branches")
        return [rule.name for rule in rules]

    async def file(self, project_id: int, path: str, ref: str) -> bytes | None:
        """A file's content at a commit or branch, or None; `Invalid` above `LARGEST_FILE`."""
        asked = f"{quoted(path)}/raw?{urlencode({'ref': ref})}"
        try:
            return await self._read(
                lambda vendor: _content(vendor, f"/projects/{project_id}/repository/files/{asked}")
            )
        except NotFound:
            return None


def _content(vendor: gitlab.Gitlab, path: str) -> bytes:
    answer = vendor.http_get(path, streamed=True, raw=True)
    if not isinstance(answer, requests.Response):
        raise StrangeAnswer("no HTTP answer")
    with answer:
        if "X-Gitlab-Size" not in answer.headers:
            raise StrangeAnswer("not a file of GitLab")  # a proxy's page, for one
        content = bytearray()
        for piece in answer.iter_content(1 << 16):
            content += piece
            if len(content) > LARGEST_FILE:
                raise Invalid(f"the file has more than {LARGEST_FILE} bytes, too many for us")
    return bytes(content)
