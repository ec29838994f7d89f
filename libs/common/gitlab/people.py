"""Who people are in GitLab, and what they are in a project. Part of `client`; reads only."""

from __future__ import annotations

from urllib.parse import urlencode

from libs.common.gitlab.connection import Connection
from libs.common.gitlab.errors import NotFound
from libs.common.gitlab.models import AccessToken, Member, User


class People(Connection):
    """The calls that read accounts and memberships."""

    _me: User | None = None

    async def current_user(self) -> User:
        """Whose token this is; asked once."""
        if self._me is None:
            self._me = await self._get(User, "/user")
        return self._me

    async def token(self) -> AccessToken:
        """Of the token itself, whatever kind of access token it is."""
        return await self._get(AccessToken, "/personal_access_tokens/self")

    async def user(self, user_id: int) -> User:
        """With GitLab's mark of bots."""
        return await self._get(User, f"/users/{user_id}")

    async def user_named(self, username: str) -> User | None:
        """By the whole name in either case; GitLab's list marks no bots: ask `user` for that."""
        found = await self._page(User, f"/users?{urlencode({'username': username})}")
        wanted = username.lower()
        return next((user for user in found if user.username.lower() == wanted), None)

    async def member(self, project_id: int, user_id: int) -> Member | None:
        """The highest role, through groups too; None for no member, or no project for us."""
        try:
            return await self._get(Member, f"/projects/{project_id}/members/all/{user_id}")
        except NotFound:
            return None
