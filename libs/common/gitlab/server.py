"""Which GitLab, with which token: for `connection`. Built in each service's wiring."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from libs.common.errors import SettingsError
from libs.common.gitlab.clone_url import is_loopback


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A GitLab and a token for it; `token_setting` is the name that errors tell an operator.

    Times are in seconds: to connect, and between two pieces of an answer.
    """

    url: str
    token: str
    token_setting: str = "GITLAB_TOKEN"  # noqa: S105  # the name of a setting
    ca_bundle: str | None = None
    allow_http: bool = False
    connect_timeout: float = 5.0
    read_timeout: float = 20.0

    def __repr__(self) -> str:
        return f"Server(url={self.url!r}, token_setting={self.token_setting!r})"

    def checked(self) -> Server:
        """This, or `SettingsError` with every problem."""
        parts = urlsplit(self.url)
        problems = []
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            problems.append("GITLAB_URL: must look like https://gitlab.example.com")
        elif parts.scheme == "http" and not (self.allow_http or is_loopback(parts.hostname)):
            problems.append("GITLAB_URL: plain http:// needs ALLOW_HTTP_GITLAB=true")
        if not self.token or not all("!" <= character <= "~" for character in self.token):
            problems.append(f"{self.token_setting}: must be a token, without spaces or line ends")
        if problems:
            raise SettingsError(problems)
        return self
